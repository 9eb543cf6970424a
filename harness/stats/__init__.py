"""Tests over seeds and over images; it knows no store and no paper."""
