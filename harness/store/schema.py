"""The database's tables, as migrations: one per version, applied in their order.

Choices that the tables hold to:

- Every table is STRICT and every reference a foreign key. Attempts name each other (`weights_from`,
  `resumed_from`, `supersedes`) by uid and without one, because a merged line may name an attempt that was
  never published.
- A split of a dataset is known by its fingerprint alone; the first name under which it came is kept.
- A number that SQLite cannot hold is NULL with a flag. `accepted` is derived (view `v_run`,
  `queries.accepted`).
- An environment names what many share (`installed`, `source`) by its SHA-256 within `packages_json`, because a
  merged line may name what was never published.
- What has a natural key and short rows is WITHOUT ROWID, so that a curve is stored once, in the order it is
  read.
"""

from sqlite_utils import Database, Migrations

MIGRATIONS = Migrations("harness")

_FIRST = """
CREATE TABLE study (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    spec_yaml TEXT NOT NULL,
    spec_sha TEXT NOT NULL,
    created TEXT NOT NULL
) STRICT;

CREATE TABLE trial (
    id INTEGER PRIMARY KEY,
    key TEXT NOT NULL UNIQUE,
    key_scheme INTEGER NOT NULL,
    task TEXT,
    model TEXT,
    config_json TEXT NOT NULL CHECK (json_valid(config_json))
) STRICT;

CREATE TABLE study_trial (
    study_id INTEGER NOT NULL REFERENCES study (id),
    trial_id INTEGER NOT NULL REFERENCES trial (id),
    name TEXT NOT NULL,
    position INTEGER NOT NULL,
    seeds_json TEXT NOT NULL CHECK (json_valid(seeds_json)),
    protocol_name TEXT NOT NULL,
    added TEXT NOT NULL,
    PRIMARY KEY (study_id, trial_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX study_trial_by_trial ON study_trial (trial_id);

CREATE TABLE run (
    id INTEGER PRIMARY KEY,
    trial_id INTEGER NOT NULL REFERENCES trial (id),
    seed INTEGER NOT NULL,
    UNIQUE (trial_id, seed)
) STRICT;

CREATE TABLE dataset (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    split TEXT NOT NULL,
    fingerprint TEXT NOT NULL UNIQUE,
    images INTEGER NOT NULL CHECK (images >= 0),
    bytes INTEGER NOT NULL CHECK (bytes >= 0)
) STRICT;

CREATE TABLE evaluation (
    id INTEGER PRIMARY KEY,
    key TEXT NOT NULL UNIQUE,
    dataset_id INTEGER NOT NULL REFERENCES dataset (id),
    condition_json TEXT NOT NULL CHECK (json_valid(condition_json))
) STRICT;
CREATE INDEX evaluation_by_dataset ON evaluation (dataset_id);

CREATE TABLE env (
    id INTEGER PRIMARY KEY,
    sha TEXT NOT NULL UNIQUE,
    git_sha TEXT,
    dirty INTEGER CHECK (dirty IN (0, 1)),
    host TEXT,
    device TEXT,
    driver TEXT,
    python TEXT,
    torch TEXT,
    packages_json TEXT NOT NULL CHECK (json_valid(packages_json))
) STRICT;

CREATE TABLE attempt (
    id INTEGER PRIMARY KEY,
    uid TEXT NOT NULL UNIQUE,
    run_id INTEGER NOT NULL REFERENCES run (id),
    kind TEXT NOT NULL CHECK (kind IN ('train', 'evaluate', 'timing', 'check')),
    state TEXT NOT NULL CHECK (state IN
        ('running', 'done', 'nan', 'failed', 'oom', 'timeout', 'pruned', 'interrupted', 'lost')),
    weights_from TEXT,
    resumed_from TEXT,
    supersedes TEXT,
    env_id INTEGER REFERENCES env (id),
    device TEXT NOT NULL,
    threads INTEGER NOT NULL,
    exclusive INTEGER NOT NULL CHECK (exclusive IN (0, 1)),
    execution_json TEXT NOT NULL CHECK (json_valid(execution_json)),
    code_digest TEXT,
    error_kind TEXT,
    error TEXT,
    started TEXT NOT NULL,
    ended TEXT,
    CHECK ((state = 'running') = (ended IS NULL))
) STRICT;
CREATE INDEX attempt_by_run ON attempt (run_id);
CREATE INDEX attempt_by_env ON attempt (env_id);
CREATE INDEX attempt_running ON attempt (id) WHERE state = 'running';
CREATE INDEX attempt_by_weights ON attempt (weights_from) WHERE weights_from IS NOT NULL;
CREATE INDEX attempt_by_superseded ON attempt (supersedes) WHERE supersedes IS NOT NULL;

CREATE TABLE metric (
    attempt_id INTEGER NOT NULL REFERENCES attempt (id),
    split TEXT NOT NULL,
    name TEXT NOT NULL,
    step INTEGER NOT NULL,
    value REAL,
    flag TEXT NOT NULL CHECK (flag IN ('ok', 'nan', 'inf', '-inf')),
    PRIMARY KEY (attempt_id, split, name, step),
    CHECK ((flag = 'ok') = (value IS NOT NULL))
) STRICT, WITHOUT ROWID;

CREATE TABLE result (
    attempt_id INTEGER NOT NULL REFERENCES attempt (id),
    evaluation_id INTEGER NOT NULL REFERENCES evaluation (id),
    name TEXT NOT NULL,
    value REAL,
    flag TEXT NOT NULL CHECK (flag IN ('ok', 'nan', 'inf', '-inf')),
    PRIMARY KEY (attempt_id, evaluation_id, name),
    CHECK ((flag = 'ok') = (value IS NOT NULL))
) STRICT, WITHOUT ROWID;
CREATE INDEX result_by_evaluation ON result (evaluation_id);

CREATE TABLE measure (
    attempt_id INTEGER NOT NULL REFERENCES attempt (id),
    name TEXT NOT NULL,
    value REAL,
    flag TEXT NOT NULL CHECK (flag IN ('ok', 'nan', 'inf', '-inf')),
    PRIMARY KEY (attempt_id, name),
    CHECK ((flag = 'ok') = (value IS NOT NULL))
) STRICT, WITHOUT ROWID;

CREATE TABLE sample (
    id INTEGER PRIMARY KEY,
    attempt_id INTEGER NOT NULL REFERENCES attempt (id),
    evaluation_id INTEGER NOT NULL REFERENCES evaluation (id),
    name TEXT NOT NULL,
    count INTEGER NOT NULL CHECK (count >= 0),
    encoding TEXT NOT NULL,
    packed BLOB NOT NULL,
    UNIQUE (attempt_id, evaluation_id, name)
) STRICT;
CREATE INDEX sample_by_evaluation ON sample (evaluation_id);

CREATE TABLE cost (
    trial_id INTEGER NOT NULL REFERENCES trial (id),
    name TEXT NOT NULL,
    value REAL NOT NULL,
    PRIMARY KEY (trial_id, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE artifact (
    attempt_id INTEGER NOT NULL REFERENCES attempt (id),
    kind TEXT NOT NULL,
    path TEXT NOT NULL,
    sha256 TEXT NOT NULL,
    bytes INTEGER NOT NULL CHECK (bytes >= 0),
    PRIMARY KEY (attempt_id, path)
) STRICT, WITHOUT ROWID;

CREATE VIEW v_run AS
WITH accepted AS (
    SELECT a.run_id, min(a.uid) AS uid
    FROM attempt a
    WHERE a.kind = 'train' AND a.state IN ('done', 'nan') AND NOT EXISTS (
        SELECT 1 FROM attempt s
        WHERE s.supersedes = a.uid AND s.run_id = a.run_id
            AND s.kind = 'train' AND s.state IN ('done', 'nan'))
    GROUP BY a.run_id
)
SELECT t.key AS trial_key, t.task, t.model, r.seed, a.uid AS attempt, a.state, a.device, a.ended,
    source.uid AS result_from, d.name AS dataset, d.split, e.key AS evaluation_key,
    e.condition_json AS condition, x.name, x.value, x.flag
FROM run r
JOIN trial t ON t.id = r.trial_id
LEFT JOIN accepted c ON c.run_id = r.id
LEFT JOIN attempt a ON a.uid = c.uid
LEFT JOIN attempt source ON source.run_id = r.id AND source.state IN ('done', 'nan')
    AND (source.id = a.id OR (source.kind = 'evaluate' AND source.weights_from = a.uid))
LEFT JOIN result x ON x.attempt_id = source.id
LEFT JOIN evaluation e ON e.id = x.evaluation_id
LEFT JOIN dataset d ON d.id = e.dataset_id;

CREATE VIEW v_time AS
SELECT t.key AS trial_key, t.task, t.model, r.seed, a.uid AS attempt, a.device, v.device AS device_model,
    a.threads, a.exclusive, a.execution_json AS execution, a.ended, m.name, m.value, m.flag
FROM attempt a
JOIN run r ON r.id = a.run_id
JOIN trial t ON t.id = r.trial_id
JOIN measure m ON m.attempt_id = a.id
LEFT JOIN env v ON v.id = a.env_id
WHERE a.kind = 'timing' AND a.state = 'done';
"""

_RUNS = """
CREATE VIEW v_run AS
WITH ended AS (
    SELECT a.run_id, a.uid, row_number() OVER (PARTITION BY a.run_id ORDER BY a.started DESC, a.uid DESC) AS place
    FROM attempt a
    WHERE a.kind = 'train' AND a.state IN ('done', 'nan') AND NOT EXISTS (
        SELECT 1 FROM attempt s
        WHERE s.supersedes = a.uid AND s.run_id = a.run_id
            AND s.kind = 'train' AND s.state IN ('done', 'nan'))
)
SELECT t.key AS trial_key, t.task, t.model, r.seed, a.uid AS attempt, a.state, a.device, a.ended,
    source.uid AS result_from, d.name AS dataset, d.split, e.key AS evaluation_key,
    e.condition_json AS condition, x.name, x.value, x.flag
FROM run r
JOIN trial t ON t.id = r.trial_id
LEFT JOIN ended c ON c.run_id = r.id AND c.place = 1
LEFT JOIN attempt a ON a.uid = c.uid
LEFT JOIN attempt source ON source.run_id = r.id AND source.state IN ('done', 'nan')
    AND (source.id = a.id OR (source.kind = 'evaluate' AND source.weights_from = a.uid))
LEFT JOIN result x ON x.attempt_id = source.id
LEFT JOIN evaluation e ON e.id = x.evaluation_id
LEFT JOIN dataset d ON d.id = e.dataset_id;
"""


_RAN_WITH = """
CREATE TABLE installed (
    id INTEGER PRIMARY KEY,
    sha TEXT NOT NULL UNIQUE,
    packages_json TEXT NOT NULL CHECK (json_valid(packages_json))
) STRICT;

CREATE TABLE source (
    id INTEGER PRIMARY KEY,
    sha TEXT NOT NULL UNIQUE,
    text TEXT NOT NULL
) STRICT;
"""


@MIGRATIONS()
def m001_first_tables(db: Database) -> None:
    """Make the tables and views of the first release."""
    db.executescript(_FIRST)


@MIGRATIONS()
def m002_the_newest_counts(db: Database) -> None:
    """Of attempts that nothing supersedes the newest counts; it was the one with the smaller uid."""
    db.execute("DROP VIEW v_run")
    db.execute(_RUNS)


_ORDERED_RUNS = _RUNS.replace("ORDER BY a.started DESC", "ORDER BY coalesce(a.ordered, a.started) DESC")


@MIGRATIONS()
def m003_order_beyond_the_clock(db: Database) -> None:
    """Attempts at a run are ordered by `ordered` if the clock was behind when they began, else by `started`."""
    db.execute("ALTER TABLE attempt ADD COLUMN ordered TEXT")
    db.execute("DROP VIEW v_run")
    db.execute(_ORDERED_RUNS)


@MIGRATIONS()
def m004_what_attempts_ran_with(db: Database) -> None:
    """All that is installed, and the difference of a study's repository, each once: environments name them."""
    db.executescript(_RAN_WITH)


_ACCEPTANCE = """
CREATE TABLE acceptance (
    trial_id INTEGER NOT NULL REFERENCES trial (id),
    old_trial_id INTEGER NOT NULL REFERENCES trial (id),
    author TEXT NOT NULL CHECK (author != ''),
    reason TEXT NOT NULL CHECK (reason != ''),
    accepted TEXT NOT NULL,
    PRIMARY KEY (trial_id, old_trial_id),
    CHECK (trial_id != old_trial_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX acceptance_by_old_trial ON acceptance (old_trial_id);
"""


@MIGRATIONS()
def m005_accepted_edits(db: Database) -> None:
    """Keep who says of which edit that it changes nothing, so that results count for the edited trial too."""
    db.executescript(_ACCEPTANCE)


@MIGRATIONS()
def m006_trials_that_set_made(db: Database) -> None:
    """Keep which trials of a study are not its own, but what `--set` made of them."""
    db.execute("ALTER TABLE study_trial ADD COLUMN overrides TEXT")


@MIGRATIONS()
def m007_metrics_with_units(db: Database) -> None:
    """Keep what a trial's metrics are (units, directions, values by item); NULL of trials of earlier versions."""
    db.execute(
        "ALTER TABLE trial ADD COLUMN metrics_json TEXT CHECK (metrics_json IS NULL OR json_valid(metrics_json))"
    )


_CLAIMS = """
CREATE TABLE claim (
    id INTEGER PRIMARY KEY,
    study_id INTEGER NOT NULL REFERENCES study (id),
    sha TEXT NOT NULL,
    name TEXT NOT NULL,
    content_json TEXT NOT NULL CHECK (json_valid(content_json)),
    why TEXT NOT NULL,
    position INTEGER NOT NULL,
    entered TEXT NOT NULL,
    git_sha TEXT,
    dirty INTEGER CHECK (dirty IN (0, 1)),
    known_json TEXT NOT NULL CHECK (json_valid(known_json)),
    stands INTEGER NOT NULL CHECK (stands IN (0, 1)),
    changed TEXT NOT NULL,
    changed_known_json TEXT NOT NULL CHECK (json_valid(changed_known_json)),
    UNIQUE (study_id, sha)
) STRICT;
"""


@MIGRATIONS()
def m008_claims_of_studies(db: Database) -> None:
    """Keep what studies claim before their runs: when it was entered, at which commit, and what was known by then."""
    db.executescript(_CLAIMS)


@MIGRATIONS()
def m009_what_studies_evaluate(db: Database) -> None:
    """Keep the evaluations that a study asks for of a trial; NULL of those stored by earlier versions."""
    db.execute(
        "ALTER TABLE study_trial ADD COLUMN evaluations_json TEXT"
        " CHECK (evaluations_json IS NULL OR json_valid(evaluations_json))"
    )


def known_migrations() -> frozenset[str]:
    """Return the names of the migrations that this version of the harness has."""
    empty = Database(memory=True, execute_plugins=False)
    try:
        return frozenset(m.name for m in MIGRATIONS.pending(empty))
    finally:
        empty.close()
