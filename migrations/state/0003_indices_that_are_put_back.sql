-- What the index of a side is called by which its UIDs are known, as far as a run has got that was to change it: as it was,
-- and as it was to be called then. One that is called otherwise is an older copy that was put back.
CREATE TABLE incarnation (
    side TEXT NOT NULL CHECK (side IN ('local', 'remote')),
    mark TEXT NOT NULL CHECK (length(mark) BETWEEN 1 AND 255),
    PRIMARY KEY (side, mark)
) STRICT, WITHOUT ROWID;
