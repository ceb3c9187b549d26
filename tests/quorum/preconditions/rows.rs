//! The rows: each precondition of mirroring, what breaks it, and the number that the reference gives.

use super::Before::{self, Fault, File, Rows, Sql, Until};
use super::{Row, row};

const ON_MIRROR: &str = "ALTER DATABASE Sales SET PARTNER = 'TCP://alpha.lab.example:7022'";
pub(super) const ON_PRINCIPAL: &str = "ALTER DATABASE Sales SET PARTNER = 'TCP://beta.lab.example:7022'";
pub(super) const WITNESS: &str = "ALTER DATABASE Sales SET WITNESS = 'TCP://gamma.lab.example:7022'";
pub(super) const WAITS: Before = Sql("beta", ON_MIRROR);
const BEGINS: Before = Sql("alpha", ON_PRINCIPAL);
pub(super) const SYNCHRONIZED: Before = Until(r#"{ on = "beta", state = "SYNCHRONIZED" }"#);
const BACKUP_LOG: &str = r"BACKUP LOG Sales TO DISK = 'C:\backup\Sales2.trn'";
const BACKUP_FULL: &str = r"BACKUP DATABASE Sales TO DISK = 'C:\backup\Sales2.bak' WITH FORMAT";
const RESTORE_LOG: &str = r"RESTORE LOG Sales FROM DISK = 'C:\backup\Sales2.trn' WITH NORECOVERY";
const RESTORE_FULL: &str =
    r"RESTORE DATABASE Sales FROM DISK = 'C:\backup\Sales2.bak' WITH NORECOVERY, REPLACE";
const OTHER: &str = "CREATE DATABASE Other; BACKUP DATABASE Other TO DISK = 'C:\\backup\\Other.bak'";
/// The mirror's copy is recovered, goes its own way, and is made a restoring copy again by its own backup.
const RECOVERED: Before = Sql("beta", "RESTORE DATABASE Sales WITH RECOVERY");
const WRITTEN: Before = Rows("beta", 3);
const TAKEN: Before = Sql("beta", BACKUP_FULL);
const RESTORED: Before = Sql("beta", RESTORE_FULL);

pub(super) fn rows() -> Vec<Row> {
    vec![
        row(
            1449,
            "the address has no scheme",
            &[],
            "alpha",
            "ALTER DATABASE Sales SET PARTNER = 'beta.lab.example:7022'",
        ),
        row(
            1449,
            "the address has no port",
            &[],
            "alpha",
            "ALTER DATABASE Sales SET PARTNER = 'TCP://beta.lab.example'",
        ),
        row(
            1449,
            "the address names an instance",
            &[],
            "alpha",
            r"ALTER DATABASE Sales SET PARTNER = 'TCP://beta\two:7022'",
        ),
        row(
            1418,
            "the name does not resolve",
            &[WAITS],
            "alpha",
            "ALTER DATABASE Sales SET PARTNER = 'TCP://nobody.lab.example:7022'",
        ),
        row(
            1418,
            "the name is of another domain",
            &[WAITS],
            "alpha",
            "ALTER DATABASE Sales SET PARTNER = 'TCP://beta.other.example:7022'",
        ),
        row(
            0,
            "the name is not fully qualified, in one domain",
            &[WAITS],
            "alpha",
            "ALTER DATABASE Sales SET PARTNER = 'TCP://beta:7022'",
        ),
        row(
            1418,
            "nobody listens at the port",
            &[WAITS],
            "alpha",
            "ALTER DATABASE Sales SET PARTNER = 'TCP://beta.lab.example:7999'",
        ),
        row(
            1418,
            "the partner's endpoint is stopped",
            &[WAITS, Sql("beta", "ALTER ENDPOINT Mirroring STATE = STOPPED")],
            "alpha",
            ON_PRINCIPAL,
        ),
        row(
            1418,
            "the own endpoint is stopped",
            &[WAITS, Sql("alpha", "ALTER ENDPOINT Mirroring STATE = STOPPED")],
            "alpha",
            ON_PRINCIPAL,
        ),
        row(
            1418,
            "the instance has no endpoint",
            &[WAITS, Sql("alpha", "DROP ENDPOINT Mirroring")],
            "alpha",
            ON_PRINCIPAL,
        ),
        row(
            1418,
            "the partner's ROLE is WITNESS",
            &[
                WAITS,
                Sql(
                    "beta",
                    "ALTER ENDPOINT Mirroring FOR DATABASE_MIRRORING (ROLE = WITNESS)",
                ),
            ],
            "alpha",
            ON_PRINCIPAL,
        ),
        row(
            1418,
            "the own ROLE is WITNESS",
            &[
                WAITS,
                Sql(
                    "alpha",
                    "ALTER ENDPOINT Mirroring FOR DATABASE_MIRRORING (ROLE = WITNESS)",
                ),
            ],
            "alpha",
            ON_PRINCIPAL,
        ),
        row(
            1418,
            "the partner's login may not connect",
            &[
                WAITS,
                Sql("beta", "REVOKE CONNECT ON ENDPOINT::Mirroring FROM alpha_login"),
            ],
            "alpha",
            ON_PRINCIPAL,
        ),
        row(
            1418,
            "SET PARTNER was not run on the mirror",
            &[],
            "alpha",
            ON_PRINCIPAL,
        ),
        row(
            1413,
            "the mirror dies between question and answer",
            &[
                WAITS,
                Fault(
                    "9900ms",
                    r#"{ kind = "crash_at_write", system = "beta", write = 1, kept = false, how = "kill" }"#,
                ),
            ],
            "alpha",
            ON_PRINCIPAL,
        ),
        row(
            1421,
            "the mirror's disk is stuck during a failover",
            &[
                WAITS,
                BEGINS,
                SYNCHRONIZED,
                Fault(
                    "9900ms",
                    r#"{ kind = "disk_stuck", system = "beta", lasts = "30s" }"#,
                ),
            ],
            "alpha",
            "ALTER DATABASE Sales SET PARTNER FAILOVER",
        ),
        row(
            1452,
            "the partner is the instance itself",
            &[],
            "alpha",
            ON_MIRROR,
        ),
        row(
            1405,
            "the database is mirrored",
            &[WAITS, BEGINS, SYNCHRONIZED],
            "alpha",
            ON_PRINCIPAL,
        ),
        row(
            1405,
            "the mirror waits for a principal",
            &[WAITS],
            "beta",
            ON_MIRROR,
        ),
        row(
            1410,
            "the remote copy is in a session",
            &[
                File(r"C:\backup\Sales.bak", "alpha", "gamma"),
                Sql(
                    "gamma",
                    r"RESTORE DATABASE Sales FROM DISK = 'C:\backup\Sales.bak' WITH RECOVERY",
                ),
                WAITS,
                BEGINS,
                SYNCHRONIZED,
            ],
            "gamma",
            ON_PRINCIPAL,
        ),
        row(
            1460,
            "the mirror waits for somebody else",
            &[Sql(
                "beta",
                "ALTER DATABASE Sales SET PARTNER = 'TCP://gamma.lab.example:7022'",
            )],
            "alpha",
            ON_PRINCIPAL,
        ),
        row(
            1448,
            "there is no such database on the partner",
            &[Sql("alpha", OTHER)],
            "alpha",
            "ALTER DATABASE Other SET PARTNER = 'TCP://beta.lab.example:7022'",
        ),
        row(
            1464,
            "the partner's copy is recovered",
            &[Sql("beta", "RESTORE DATABASE Sales WITH RECOVERY")],
            "alpha",
            ON_PRINCIPAL,
        ),
        row(
            1464,
            "the own copy is recovered, and so is the partner's",
            &[Sql("beta", "RESTORE DATABASE Sales WITH RECOVERY")],
            "beta",
            ON_MIRROR,
        ),
        row(
            1419,
            "the partner's copy is damaged",
            &[
                WAITS,
                Fault(
                    "1s",
                    r#"{ kind = "bit_rot", system = "beta", file = "instances/beta/sales.mdf", offset = 3 }"#,
                ),
                Fault("2s", r#"{ kind = "restart", instance = "beta" }"#),
            ],
            "alpha",
            ON_PRINCIPAL,
        ),
        row(
            1407,
            "the partner's copy is of another database",
            &[
                Sql("alpha", OTHER),
                File(r"C:\backup\Other.bak", "alpha", "beta"),
                Sql(
                    "beta",
                    r"RESTORE DATABASE Sales FROM DISK = 'C:\backup\Other.bak' WITH NORECOVERY, REPLACE",
                ),
                WAITS,
            ],
            "alpha",
            ON_PRINCIPAL,
        ),
        row(
            1408,
            "log the partner's copy lacks has been given up",
            &[
                Sql(
                    "alpha",
                    "ALTER DATABASE Sales MODIFY FILE (NAME = Sales_log, MAXSIZE = 64 KB)",
                ),
                Rows("alpha", 400),
                Sql("alpha", BACKUP_LOG),
                Sql("alpha", "USE Sales; CHECKPOINT"),
                Rows("alpha", 2),
                WAITS,
            ],
            "alpha",
            ON_PRINCIPAL,
        ),
        row(
            1478,
            "a later log backup was not restored",
            &[Rows("alpha", 3), Sql("alpha", BACKUP_LOG), WAITS],
            "alpha",
            ON_PRINCIPAL,
        ),
        row(
            0,
            "every log backup was restored",
            &[
                Rows("alpha", 3),
                Sql("alpha", BACKUP_LOG),
                File(r"C:\backup\Sales2.trn", "alpha", "beta"),
                Sql("beta", RESTORE_LOG),
                WAITS,
            ],
            "alpha",
            ON_PRINCIPAL,
        ),
        row(
            0,
            "changes since the last log backup are not restored",
            &[Rows("alpha", 3), WAITS],
            "alpha",
            ON_PRINCIPAL,
        ),
        row(
            1412,
            "the partner's copy was recovered and went its own way",
            &[RECOVERED, WRITTEN, TAKEN, RESTORED, Rows("alpha", 9), WAITS],
            "alpha",
            ON_PRINCIPAL,
        ),
        row(
            1412,
            "the principal's copy was recovered on its own, the partner has the old log",
            &[
                Rows("alpha", 9),
                Sql("alpha", BACKUP_LOG),
                File(r"C:\backup\Sales.bak", "alpha", "gamma"),
                File(r"C:\backup\Sales2.trn", "alpha", "beta"),
                Sql("beta", RESTORE_LOG),
                Sql(
                    "gamma",
                    r"RESTORE DATABASE Sales FROM DISK = 'C:\backup\Sales.bak' WITH RECOVERY",
                ),
                Rows("gamma", 30),
                Sql(
                    "beta",
                    "ALTER DATABASE Sales SET PARTNER = 'TCP://gamma.lab.example:7022'",
                ),
            ],
            "gamma",
            ON_PRINCIPAL,
        ),
        row(
            1412,
            "the partner's copy is the former principal's, service was forced on the principal",
            &[
                WAITS,
                BEGINS,
                SYNCHRONIZED,
                Sql("alpha", "ALTER ENDPOINT Mirroring STATE = STOPPED"),
                Until(r#"{ on = "beta", state = "DISCONNECTED" }"#),
                Sql(
                    "beta",
                    "ALTER DATABASE Sales SET PARTNER FORCE_SERVICE_ALLOW_DATA_LOSS",
                ),
                Rows("alpha", 9),
                Rows("beta", 30),
                Sql("alpha", "ALTER DATABASE Sales SET PARTNER OFF"),
                Sql("beta", "ALTER DATABASE Sales SET PARTNER OFF"),
                Sql("alpha", BACKUP_FULL),
                Sql("alpha", RESTORE_FULL),
                Sql("alpha", "ALTER ENDPOINT Mirroring STATE = STARTED"),
                BEGINS,
            ],
            "beta",
            ON_MIRROR,
        ),
        row(
            4330,
            "a log backup of the old path for a copy that went its own way",
            &[
                RECOVERED,
                WRITTEN,
                TAKEN,
                RESTORED,
                Rows("alpha", 9),
                Sql("alpha", BACKUP_LOG),
                File(r"C:\backup\Sales2.trn", "alpha", "beta"),
            ],
            "beta",
            RESTORE_LOG,
        ),
        row(
            1465,
            "the principal is in the simple recovery model",
            &[WAITS, Sql("alpha", "ALTER DATABASE Sales SET RECOVERY SIMPLE")],
            "alpha",
            ON_PRINCIPAL,
        ),
        row(
            1465,
            "the copy is of a database in the simple recovery model",
            &[
                Sql("alpha", "ALTER DATABASE Sales SET RECOVERY SIMPLE"),
                Sql("alpha", BACKUP_FULL),
                File(r"C:\backup\Sales2.bak", "alpha", "beta"),
                Sql("beta", RESTORE_FULL),
            ],
            "beta",
            ON_MIRROR,
        ),
        row(
            1465,
            "the principal is in the bulk-logged recovery model",
            &[
                WAITS,
                Sql("alpha", "ALTER DATABASE Sales SET RECOVERY BULK_LOGGED"),
            ],
            "alpha",
            ON_PRINCIPAL,
        ),
        row(
            1475,
            "it was, and the log has not been backed up since",
            &[
                WAITS,
                Sql("alpha", "ALTER DATABASE Sales SET RECOVERY BULK_LOGGED"),
                Sql("alpha", "ALTER DATABASE Sales SET RECOVERY FULL"),
            ],
            "alpha",
            ON_PRINCIPAL,
        ),
        row(
            0,
            "it was, and the log has been backed up and restored since",
            &[
                Sql("alpha", "ALTER DATABASE Sales SET RECOVERY BULK_LOGGED"),
                Rows("alpha", 3),
                Sql("alpha", "ALTER DATABASE Sales SET RECOVERY FULL"),
                Sql("alpha", BACKUP_LOG),
                File(r"C:\backup\Sales2.trn", "alpha", "beta"),
                Sql("beta", RESTORE_LOG),
                WAITS,
            ],
            "alpha",
            ON_PRINCIPAL,
        ),
        row(
            1467,
            "the own copy is damaged",
            &[
                WAITS,
                Fault(
                    "1s",
                    r#"{ kind = "bit_rot", system = "alpha", file = "instances/alpha/sales.mdf", offset = 3 }"#,
                ),
                Fault("2s", r#"{ kind = "restart", instance = "alpha" }"#),
            ],
            "alpha",
            ON_PRINCIPAL,
        ),
        row(
            1468,
            "another recovery model, for a mirrored database",
            &[WAITS, BEGINS, SYNCHRONIZED],
            "alpha",
            "ALTER DATABASE Sales SET RECOVERY SIMPLE",
        ),
        row(
            5058,
            "a system database as a partner",
            &[],
            "alpha",
            "ALTER DATABASE master SET PARTNER = 'TCP://beta.lab.example:7022'",
        ),
        row(
            5058,
            "a system database with a witness",
            &[],
            "alpha",
            "ALTER DATABASE msdb SET WITNESS OFF",
        ),
        row(
            1463,
            "a partner in Express",
            &[
                Sql(
                    "gamma",
                    "ALTER ENDPOINT Mirroring FOR DATABASE_MIRRORING (ROLE = WITNESS)",
                ),
                File(r"C:\backup\Sales.bak", "alpha", "gamma"),
                Sql(
                    "gamma",
                    r"RESTORE DATABASE Sales FROM DISK = 'C:\backup\Sales.bak' WITH NORECOVERY",
                ),
            ],
            "gamma",
            ON_MIRROR,
        )
        .with(&[("gamma", "edition = \"express\"")]),
        row(
            1473,
            "SAFETY OFF in Standard",
            &[WAITS, BEGINS, SYNCHRONIZED],
            "alpha",
            "ALTER DATABASE Sales SET PARTNER SAFETY OFF",
        )
        .with(&[
            ("alpha", "edition = \"standard\""),
            ("beta", "edition = \"standard\""),
        ]),
        row(
            0,
            "SAFETY FULL in Standard, where it is in force",
            &[WAITS, BEGINS, SYNCHRONIZED],
            "alpha",
            "ALTER DATABASE Sales SET PARTNER SAFETY FULL",
        )
        .with(&[
            ("alpha", "edition = \"standard\""),
            ("beta", "edition = \"standard\""),
        ]),
        row(
            1470,
            "SAFETY OFF in Standard, on the mirror",
            &[WAITS, BEGINS, SYNCHRONIZED],
            "beta",
            "ALTER DATABASE Sales SET PARTNER SAFETY OFF",
        )
        .with(&[
            ("alpha", "edition = \"standard\""),
            ("beta", "edition = \"standard\""),
        ]),
        row(0, "partners of two editions", &[WAITS], "alpha", ON_PRINCIPAL)
            .with(&[("beta", "edition = \"standard\"")]),
        row(
            41952,
            "the mirror is of a newer version",
            &[WAITS],
            "alpha",
            ON_PRINCIPAL,
        )
        .with(&[("beta", "version = 2019")]),
        row(
            3169,
            "a backup of a newer version",
            &[File(r"C:\backup\Sales.bak", "alpha", "gamma")],
            "gamma",
            r"RESTORE DATABASE Sales FROM DISK = 'C:\backup\Sales.bak' WITH NORECOVERY",
        )
        .with(&[("gamma", "version = 2014")]),
        row(
            0,
            "a witness in Express",
            &[
                WAITS,
                BEGINS,
                SYNCHRONIZED,
                Sql(
                    "gamma",
                    "ALTER ENDPOINT Mirroring FOR DATABASE_MIRRORING (ROLE = WITNESS)",
                ),
            ],
            "alpha",
            WITNESS,
        )
        .with(&[("gamma", "edition = \"express\"")]),
        row(
            1427,
            "a witness of another version",
            &[WAITS, BEGINS, SYNCHRONIZED],
            "alpha",
            WITNESS,
        )
        .with(&[("gamma", "version = 2019")]),
        row(
            1427,
            "the witness's ROLE is PARTNER",
            &[
                WAITS,
                BEGINS,
                SYNCHRONIZED,
                Sql(
                    "gamma",
                    "ALTER ENDPOINT Mirroring FOR DATABASE_MIRRORING (ROLE = PARTNER)",
                ),
            ],
            "alpha",
            WITNESS,
        ),
        row(
            1427,
            "the witness's endpoint is stopped",
            &[
                WAITS,
                BEGINS,
                SYNCHRONIZED,
                Sql("gamma", "ALTER ENDPOINT Mirroring STATE = STOPPED"),
            ],
            "alpha",
            WITNESS,
        ),
        row(
            1426,
            "the session is suspended",
            &[
                WAITS,
                BEGINS,
                SYNCHRONIZED,
                Sql("alpha", "ALTER DATABASE Sales SET PARTNER SUSPEND"),
            ],
            "alpha",
            WITNESS,
        ),
        row(
            1416,
            "a witness for a database that is not mirrored",
            &[],
            "alpha",
            WITNESS,
        ),
        row(
            1429,
            "the witness is the mirror",
            &[WAITS, BEGINS, SYNCHRONIZED],
            "alpha",
            "ALTER DATABASE Sales SET WITNESS = 'TCP://beta.lab.example:7022'",
        ),
        row(
            1429,
            "the witness is the principal",
            &[WAITS, BEGINS, SYNCHRONIZED],
            "alpha",
            "ALTER DATABASE Sales SET WITNESS = 'TCP://alpha.lab.example:7022'",
        ),
        row(
            1446,
            "the witness is set already",
            &[WAITS, BEGINS, SYNCHRONIZED, Sql("alpha", WITNESS)],
            "alpha",
            WITNESS,
        ),
    ]
}
