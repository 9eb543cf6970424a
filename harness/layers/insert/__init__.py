"""Compressors in any network: behind which of its modules they can go, and putting them there (docs/insert.md).

What happens, one file per step: `trace` runs a copy of the network without storage (`meta_copy`) and records what it
computes; `follow` finds every layer that reads the site's channels, by the rules of `operations` and `layers`, over
which an `axis` travels; `chain` looks the other way, for the convolution that makes the channels; `plan` decides what
is to change, `rewire` changes the layers, and `install` puts the compressor there. `attempt` does so in the
copy, and looks whether it still does the same. `place` does all of it; `sites` asks for all modules, and `saving`
counts.
"""
