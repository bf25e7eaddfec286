-- What it takes to write to servers without UIDPLUS (RFC 4315), and to those that merge or rewrite what they are given.

-- Whether the server has said that it took the message: then it is never sent again.
ALTER TABLE intent ADD COLUMN answer TEXT NOT NULL DEFAULT 'awaited' CHECK (answer IN ('awaited', 'taken'));

-- A message whose \Deleted was taken off, so that an EXPUNGE that is not meant for it passes it by, and is to be put back.
CREATE TABLE lifted (
    mailbox      INTEGER NOT NULL REFERENCES mailbox (id) ON DELETE CASCADE,
    side         TEXT    NOT NULL CHECK (side IN ('local', 'remote')),
    uid          INTEGER NOT NULL CHECK (uid BETWEEN 1 AND 4294967295),
    uid_validity INTEGER NOT NULL CHECK (uid_validity BETWEEN 1 AND 4294967295),
    PRIMARY KEY (mailbox, side, uid)
) STRICT, WITHOUT ROWID;

-- A counter like the others.
ALTER TABLE mailbox ADD COLUMN lifted INTEGER NOT NULL DEFAULT 0 CHECK (lifted >= 0);

CREATE TRIGGER lifted_added AFTER INSERT ON lifted BEGIN
    UPDATE mailbox SET lifted = lifted + 1 WHERE id = new.mailbox;
END;

CREATE TRIGGER lifted_removed AFTER DELETE ON lifted BEGIN
    UPDATE mailbox SET lifted = lifted - 1 WHERE id = old.mailbox;
END;

CREATE TRIGGER lifted_stays BEFORE UPDATE OF mailbox, side ON lifted BEGIN
    SELECT RAISE(ABORT, 'a lifted mark stays where it is');
END;

-- Two more reasons to leave a message out. A CHECK cannot be changed, so the table is built anew; its triggers go with it.
CREATE TABLE skipped_anew (
    mailbox      INTEGER NOT NULL REFERENCES mailbox (id) ON DELETE CASCADE,
    side         TEXT    NOT NULL CHECK (side IN ('local', 'remote')),
    uid          INTEGER NOT NULL CHECK (uid BETWEEN 1 AND 4294967295),
    why          TEXT    NOT NULL CHECK (why IN ('policy', 'kept', 'refused', 'merged', 'unfound')),
    words        TEXT    CHECK ((why = 'refused') = (words IS NOT NULL)),
    attempts     INTEGER NOT NULL CHECK (attempts BETWEEN 0 AND 4294967295),
    last_attempt INTEGER NOT NULL,
    PRIMARY KEY (mailbox, side, uid)
) STRICT, WITHOUT ROWID;

INSERT INTO skipped_anew (mailbox, side, uid, why, words, attempts, last_attempt)
SELECT mailbox, side, uid, why, words, attempts, last_attempt FROM skipped;

DROP TABLE skipped;

ALTER TABLE skipped_anew RENAME TO skipped;

CREATE TRIGGER skipped_added AFTER INSERT ON skipped BEGIN
    UPDATE mailbox
       SET skipped_local  = skipped_local  + (new.side = 'local'),
           skipped_remote = skipped_remote + (new.side = 'remote')
     WHERE id = new.mailbox;
END;

CREATE TRIGGER skipped_removed AFTER DELETE ON skipped BEGIN
    UPDATE mailbox
       SET skipped_local  = skipped_local  - (old.side = 'local'),
           skipped_remote = skipped_remote - (old.side = 'remote')
     WHERE id = old.mailbox;
END;

CREATE TRIGGER skipped_stays BEFORE UPDATE OF mailbox, side ON skipped BEGIN
    SELECT RAISE(ABORT, 'a skipped message stays where it is');
END;
