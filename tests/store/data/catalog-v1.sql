BEGIN TRANSACTION;
CREATE TABLE artifacts (
	id VARCHAR(200) NOT NULL, 
	sha256 VARCHAR(64) NOT NULL, 
	size BIGINT NOT NULL, 
	files TEXT, 
	PRIMARY KEY (id)
);
INSERT INTO "artifacts" VALUES('bc51e9e65d79e1c90ba544ab2eae1044ccdf8c1af7a559ba375cba4276f7d99e','bc51e9e65d79e1c90ba544ab2eae1044ccdf8c1af7a559ba375cba4276f7d99e',4,NULL);
INSERT INTO "artifacts" VALUES('release-eeee','b14b1a352eefe780e86c2f25f00d9b2c8e0c407d13be1da0e349bbe59d742650',7,'{"model":{"sha256":"97ff8a35544dcf40ad84047074439dd6aa3a0be469ea578a1b1c017d939ec61c","size":7}}');
CREATE TABLE audit (
	seq INTEGER NOT NULL, 
	time VARCHAR(40) NOT NULL, 
	actor TEXT NOT NULL, 
	action VARCHAR(64) NOT NULL, 
	subject TEXT NOT NULL, 
	details TEXT NOT NULL, 
	previous VARCHAR(64) NOT NULL, 
	hash VARCHAR(64) NOT NULL, 
	PRIMARY KEY (seq)
);
INSERT INTO "audit" VALUES(1,'2026-01-02T03:04:05+00:00','ada','run.begin','run-1','{"words":"run trips","key":"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"}','','8c1be6dc597e85a6344db997533d8f86ac88506345be3044c5b377305aa74738');
INSERT INTO "audit" VALUES(2,'2026-01-02T03:04:05+00:00','ada','spans.add','1 spans','{"states":1,"spans":[["bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb",1,3]]}','8c1be6dc597e85a6344db997533d8f86ac88506345be3044c5b377305aa74738','98dfd9754841ab538c59373ed9bb671f009732a8053fff92dcb82d8257b2c3d7');
INSERT INTO "audit" VALUES(3,'2026-01-02T03:04:05+00:00','ada','step.record','run-1 ingest','{"key":"dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd","artifacts":["bc51e9e65d79e1c90ba544ab2eae1044ccdf8c1af7a559ba375cba4276f7d99e"]}','98dfd9754841ab538c59373ed9bb671f009732a8053fff92dcb82d8257b2c3d7','28b3f9bb14399129027cc86c2558eaef84cae3f05733b5339369c676c09b3393');
INSERT INTO "audit" VALUES(4,'2026-01-02T03:04:05+00:00','ada','release.add','eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee','{"run":"run-1","folder":"release-eeee"}','28b3f9bb14399129027cc86c2558eaef84cae3f05733b5339369c676c09b3393','61946b24f541db45c63ce2280c94858e6c8417d4484a5bbb539b4c25e157085d');
INSERT INTO "audit" VALUES(5,'2026-01-02T03:04:05+00:00','ada','promote','eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee','{"epoch":1,"was":null,"reason":"gates passed"}','61946b24f541db45c63ce2280c94858e6c8417d4484a5bbb539b4c25e157085d','c2d4b2cd06a571b6b10cdb94fdc9c70d5305700ab1e738e01c682644cfb78ef0');
INSERT INTO "audit" VALUES(6,'2026-01-02T03:04:05+00:00','ada','run.finish','run-1','{"status":"done"}','c2d4b2cd06a571b6b10cdb94fdc9c70d5305700ab1e738e01c682644cfb78ef0','a418c180eed5e0c9381b3b2d280b19a3f273a940d365fd3e1c2ef48e2b46531b');
INSERT INTO "audit" VALUES(7,'2026-01-02T03:04:05+00:00','ada','run.begin','run-2','{"words":"run trips","key":"ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff"}','a418c180eed5e0c9381b3b2d280b19a3f273a940d365fd3e1c2ef48e2b46531b','e2b42858250d09bb890531cd4cff892afc4832fa5e8e13c63284ea2e251708e1');
CREATE TABLE audit_head (
	seq INTEGER NOT NULL, 
	hash VARCHAR(64) NOT NULL, 
	PRIMARY KEY (seq)
);
INSERT INTO "audit_head" VALUES(7,'e2b42858250d09bb890531cd4cff892afc4832fa5e8e13c63284ea2e251708e1');
CREATE TABLE pointers (
	name VARCHAR(64) NOT NULL, 
	epoch INTEGER NOT NULL, 
	release VARCHAR(64) NOT NULL, 
	below INTEGER, 
	action VARCHAR(16) NOT NULL, 
	reason TEXT NOT NULL, 
	actor TEXT NOT NULL, 
	since VARCHAR(40) NOT NULL, 
	PRIMARY KEY (name, epoch), 
	FOREIGN KEY(release) REFERENCES releases (release)
);
INSERT INTO "pointers" VALUES('champion',1,'eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee',NULL,'promote','gates passed','ada','2026-01-02T03:04:05+00:00');
CREATE TABLE releases (
	release VARCHAR(64) NOT NULL, 
	number INTEGER NOT NULL, 
	folder VARCHAR(200) NOT NULL, 
	run INTEGER NOT NULL, 
	actor TEXT NOT NULL, 
	created VARCHAR(40) NOT NULL, 
	document TEXT NOT NULL, 
	PRIMARY KEY (release), 
	UNIQUE (number), 
	FOREIGN KEY(folder) REFERENCES artifacts (id)
);
INSERT INTO "releases" VALUES('eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee',1,'release-eeee',1,'ada','2026-01-02T03:04:05+00:00','{"metric":0.5}');
CREATE TABLE runs (
	number INTEGER NOT NULL, 
	words TEXT NOT NULL, 
	"key" VARCHAR(64) NOT NULL, 
	status VARCHAR(16) NOT NULL, 
	actor TEXT NOT NULL, 
	started VARCHAR(40) NOT NULL, 
	ended VARCHAR(40), 
	resumes INTEGER NOT NULL, 
	release VARCHAR(64), 
	document TEXT NOT NULL, 
	PRIMARY KEY (number), 
	FOREIGN KEY(release) REFERENCES releases (release)
);
INSERT INTO "runs" VALUES(1,'run trips','aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa','done','ada','2026-01-02T03:04:05+00:00','2026-01-02T03:04:05+00:00',0,'eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee','{"it''s":"done"}');
INSERT INTO "runs" VALUES(2,'run trips','ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff','running','ada','2026-01-02T03:04:05+00:00',NULL,0,NULL,'{}');
CREATE TABLE spans (
	span VARCHAR(64) NOT NULL, 
	ingest_key VARCHAR(64) NOT NULL, 
	sequence BIGINT NOT NULL, 
	artifact VARCHAR(200), 
	quarantine VARCHAR(200), 
	url TEXT NOT NULL, 
	read BIGINT NOT NULL, 
	accepted BIGINT NOT NULL, 
	quarantined BIGINT NOT NULL, 
	chunks TEXT NOT NULL, 
	time_min BIGINT, 
	time_max BIGINT, 
	schema_version INTEGER NOT NULL, 
	details TEXT NOT NULL, 
	PRIMARY KEY (ingest_key, span), 
	UNIQUE (sequence), 
	FOREIGN KEY(artifact) REFERENCES artifacts (id), 
	FOREIGN KEY(quarantine) REFERENCES artifacts (id)
);
INSERT INTO "spans" VALUES('bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb','cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc',1,'bc51e9e65d79e1c90ba544ab2eae1044ccdf8c1af7a559ba375cba4276f7d99e',NULL,'data/a.csv',3,2,1,'[2]',-5,1125899906842624,1,'{"delimiter":";"}');
CREATE TABLE states (
	"key" VARCHAR(200) NOT NULL, 
	span VARCHAR(64) NOT NULL, 
	sha256 VARCHAR(64) NOT NULL, 
	blob BLOB, 
	artifact VARCHAR(200), 
	PRIMARY KEY ("key", span), 
	FOREIGN KEY(artifact) REFERENCES artifacts (id)
);
INSERT INTO "states" VALUES('statistics','bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb','3cac6329f13699b863718c439c55e79a069a47e24a439125ce8d5927d013d31a',X'00737461746527FF',NULL);
CREATE TABLE steps (
	"key" VARCHAR(64) NOT NULL, 
	name VARCHAR(64) NOT NULL, 
	run INTEGER NOT NULL, 
	output TEXT NOT NULL, 
	artifacts TEXT NOT NULL, 
	seconds FLOAT NOT NULL, 
	PRIMARY KEY ("key"), 
	FOREIGN KEY(run) REFERENCES runs (number)
);
INSERT INTO "steps" VALUES('dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd','ingest',1,'{"spans":["bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"]}','["bc51e9e65d79e1c90ba544ab2eae1044ccdf8c1af7a559ba375cba4276f7d99e"]',0.25);
CREATE TABLE version (
	number INTEGER NOT NULL, 
	PRIMARY KEY (number)
);
INSERT INTO "version" VALUES(1);
CREATE INDEX ix_runs_key ON runs ("key");
CREATE INDEX ix_runs_status ON runs (status);
COMMIT;
