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
INSERT INTO "audit" VALUES(2,'2026-01-02T03:04:05+00:00','ada','spans.add','1 spans','{"states":1,"spans":[["bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb",1,3]],"rows":["93155e3d580d16039353ab884e4a1cc1d94a26d40f42b7da7490b2f1ddde993e"]}','8c1be6dc597e85a6344db997533d8f86ac88506345be3044c5b377305aa74738','5446d7144683f19ba6543c3015c2fe2a312f336fd245208ede15328bba32672b');
INSERT INTO "audit" VALUES(3,'2026-01-02T03:04:05+00:00','ada','step.record','run-1 ingest','{"key":"dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd","artifacts":["bc51e9e65d79e1c90ba544ab2eae1044ccdf8c1af7a559ba375cba4276f7d99e"],"output":"840fa737e436b2459d21e37112108a231a67f09829e51ab700398adf9f689f36"}','5446d7144683f19ba6543c3015c2fe2a312f336fd245208ede15328bba32672b','d39e100fbe6ec11ba63b2dad4dd9cf324b21c3e2ac8fb62d9ce7b893e221791b');
INSERT INTO "audit" VALUES(4,'2026-01-02T03:04:05+00:00','ada','release.add','eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee','{"run":"run-1","folder":"release-eeee","document":"da2d5cdbc86b01b286d3adb3d930686940c18df66dbfb5547d26d6bcb858de97"}','d39e100fbe6ec11ba63b2dad4dd9cf324b21c3e2ac8fb62d9ce7b893e221791b','78cffc4e0cb031f49b494a32bdf22a1c34824b218adbb71bb424b81ef97a04c6');
INSERT INTO "audit" VALUES(5,'2026-01-02T03:04:05+00:00','ada','promote','eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee','{"epoch":1,"was":null,"reason":"gates passed"}','78cffc4e0cb031f49b494a32bdf22a1c34824b218adbb71bb424b81ef97a04c6','85807bb46e8a2370197b39d3ca8043358cd02f218fd47097866923691839fb4e');
INSERT INTO "audit" VALUES(6,'2026-01-02T03:04:05+00:00','ada','release.pin','eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee','{"reason":"the audit of May"}','85807bb46e8a2370197b39d3ca8043358cd02f218fd47097866923691839fb4e','d9d0675efed28cb18920eedb5a711a50fa699f47d87d637ff26f63476121d1f4');
INSERT INTO "audit" VALUES(7,'2026-01-02T03:04:05+00:00','ada','run.finish','run-1','{"status":"done","document":"d463ea049461185f37091811eada629c086fe0bc7ca6b704d247a5f95f42de9e"}','d9d0675efed28cb18920eedb5a711a50fa699f47d87d637ff26f63476121d1f4','977870104c2d5fabfb51b9ef567e38a7cbf2fe296c82d012ccb3e4550c52c15b');
INSERT INTO "audit" VALUES(8,'2026-01-02T03:04:05+00:00','ada','run.begin','run-2','{"words":"run trips","key":"ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff"}','977870104c2d5fabfb51b9ef567e38a7cbf2fe296c82d012ccb3e4550c52c15b','d3b74b7e01506a39a1f5c2496b9b6aa673e21bea4f3bae1ecb47c9756147c762');
CREATE TABLE audit_head (
	seq INTEGER NOT NULL, 
	hash VARCHAR(64) NOT NULL, 
	PRIMARY KEY (seq)
);
INSERT INTO "audit_head" VALUES(8,'d3b74b7e01506a39a1f5c2496b9b6aa673e21bea4f3bae1ecb47c9756147c762');
CREATE TABLE leases (
	name VARCHAR(64) NOT NULL, 
	token BIGINT NOT NULL, 
	holder TEXT NOT NULL, 
	expires DOUBLE NOT NULL, 
	PRIMARY KEY (name)
);
CREATE TABLE pins (
	release VARCHAR(64) NOT NULL, 
	reason TEXT NOT NULL, 
	actor TEXT NOT NULL, 
	since VARCHAR(40) NOT NULL, 
	PRIMARY KEY (release), 
	FOREIGN KEY(release) REFERENCES releases (release)
);
INSERT INTO "pins" VALUES('eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee','the audit of May','ada','2026-01-02T03:04:05+00:00');
CREATE TABLE pointers (
	name VARCHAR(64) NOT NULL, 
	epoch INTEGER NOT NULL, 
	release VARCHAR(64) NOT NULL, 
	below INTEGER, 
	action VARCHAR(16) NOT NULL, 
	reason TEXT NOT NULL, 
	actor TEXT NOT NULL, 
	since VARCHAR(40) NOT NULL, 
	"table" VARCHAR(64), 
	PRIMARY KEY (name, epoch), 
	FOREIGN KEY(release) REFERENCES releases (release), 
	FOREIGN KEY("table") REFERENCES tables (id)
);
INSERT INTO "pointers" VALUES('champion',1,'eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee',NULL,'promote','gates passed','ada','2026-01-02T03:04:05+00:00',NULL);
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
CREATE TABLE tables (
	id VARCHAR(64) NOT NULL, 
	number INTEGER NOT NULL, 
	release VARCHAR(64) NOT NULL, 
	folder VARCHAR(200), 
	as_of VARCHAR(40) NOT NULL, 
	rows BIGINT NOT NULL, 
	created VARCHAR(40) NOT NULL, 
	actor TEXT NOT NULL, 
	words TEXT NOT NULL, 
	document TEXT NOT NULL, 
	PRIMARY KEY (id), 
	UNIQUE (number), 
	FOREIGN KEY(release) REFERENCES releases (release), 
	FOREIGN KEY(folder) REFERENCES artifacts (id)
);
CREATE TABLE version (
	number INTEGER NOT NULL, 
	PRIMARY KEY (number)
);
INSERT INTO "version" VALUES(3);
CREATE INDEX ix_runs_key ON runs ("key");
CREATE INDEX ix_runs_status ON runs (status);
COMMIT;
