-- Version 1. Every row belongs to a desk, so that one database can have several.

CREATE TABLE staydown_desk (
	desk  text PRIMARY KEY,
	lock  integer GENERATED ALWAYS AS IDENTITY, -- of the advisory lock
	owner bytea,                                -- of the process that has the desk open
	meta  bytea,                                -- of the journal
	last  bigint NOT NULL DEFAULT 0             -- number of its last entry
);

CREATE TABLE staydown_case (
	desk   text  NOT NULL REFERENCES staydown_desk,
	bucket text  COLLATE "C" NOT NULL,
	key    bytea NOT NULL,
	value  bytea NOT NULL,
	PRIMARY KEY (desk, bucket, key)
);

CREATE TABLE staydown_event (
	desk   text   NOT NULL REFERENCES staydown_desk,
	seq    bigint NOT NULL,
	id     bytea  NOT NULL,
	target bigint NOT NULL,
	digest bytea  NOT NULL,
	data   bytea  NOT NULL,
	PRIMARY KEY (desk, seq),
	UNIQUE (desk, id)
);

CREATE INDEX staydown_event_target ON staydown_event (desk, target, seq) WHERE target <> 0;
