//! What the crash points are points of, in the words of a scenario.

/// What is interrupted: its name, what it does, and the steps that do it, in the words of a scenario.
pub struct Reference {
    pub name: &'static str,
    pub risk: &'static str,
    /// Steps that are over before anybody may go down.
    pub before: &'static str,
    pub crash_at: &'static str,
    /// When its steps are over, if none of them has to wait for an answer that does not come.
    pub until: &'static str,
    pub steps: &'static str,
}

/// Steps that are only tried, one statement each: when, where and what.
macro_rules! tried {
    ($($begin:ident $time:literal on $instance:ident: $sql:literal;)*) => {
        concat!($(
            "\n[[step]]\n", stringify!($begin), " = \"", $time, "\"\non = \"", stringify!($instance),
            "\"\nsql = \"", $sql, "\"\nmay_fail = true\n"
        ),*)
    };
}

pub const COMMIT: Reference = Reference {
    name: "commit",
    risk: "A process or its machine goes down in the middle of one durable write of a commit.",
    before: "",
    crash_at: "1s",
    until: "20s",
    steps: "",
};

pub const MANUAL_FAILOVER: Reference = Reference {
    name: "manual_failover",
    risk: "A process or its machine goes down in the middle of one durable write of a manual failover under load.",
    before: "",
    crash_at: "1s",
    until: "20s",
    steps: tried! {
        at "1500ms" on alpha: "ALTER DATABASE Sales SET PARTNER FAILOVER";
    },
};

pub const AUTOMATIC_FAILOVER: Reference = Reference {
    name: "automatic_failover",
    risk: "The principal dies, and somebody else in the middle of one durable write of the failover, or of the return.",
    before: "",
    crash_at: "1500ms",
    until: "20s",
    steps: r#"
[[step]]
at = "1500ms"
fault = { kind = "kill", instance = "alpha", lasts = "500ms" }
"#,
};

pub const TRUNCATION: Reference = Reference {
    name: "truncation",
    risk: "A process or its machine goes down in the middle of one durable write as log is backed up and given up.",
    before: "",
    crash_at: "1500ms",
    until: "20s",
    steps: r#"
[[step]]
at = "1500ms"
on = "alpha"
sql = '''
ALTER DATABASE Sales MODIFY FILE (NAME = Sales_log, MAXSIZE = 64 KB)
GO
USE Sales
CREATE TABLE Heavy (id INT PRIMARY KEY, value INT)
INSERT INTO Heavy VALUES ROWS
UPDATE Heavy SET value = value + 1
GO
BACKUP LOG Sales TO DISK = 'D:\log.bak'
GO
USE Sales
UPDATE Heavy SET value = value + 1
CHECKPOINT
UPDATE Heavy SET value = value + 1
'''
may_fail = true
"#,
};

pub const FORCED_SERVICE: Reference = Reference {
    name: "forced_service",
    risk: "The mirror is forced into service while the principal is away, and somebody goes down in the middle of one durable \
           write of it, of the return, or of the resumption.",
    before: r#"
[[step]]
at = "1s"
on = "alpha"
sql = "ALTER DATABASE Sales SET PARTNER SUSPEND"

[[step]]
at = "1500ms"
fault = { kind = "kill", instance = "alpha", lasts = "2s" }
"#,
    crash_at: "2s",
    until: "50s",
    steps: tried! {
        at "2s" on beta: "ALTER DATABASE Sales SET PARTNER FORCE_SERVICE_ALLOW_DATA_LOSS";
        after "5s" on beta: "ALTER DATABASE Sales SET PARTNER RESUME";
        after "30s" on alpha: "ALTER DATABASE Sales SET PARTNER RESUME";
        after "1s" on beta: "ALTER DATABASE Sales SET PARTNER RESUME";
    },
};

pub const SUSPENSION: Reference = Reference {
    name: "suspension",
    risk: "A process or its machine goes down in the middle of one durable write of SUSPEND or of RESUME.",
    before: "",
    crash_at: "1500ms",
    until: "50s",
    steps: tried! {
        at "1500ms" on alpha: "ALTER DATABASE Sales SET PARTNER SUSPEND";
        after "1s" on alpha: "ALTER DATABASE Sales SET PARTNER RESUME";
        after "1s" on beta: "ALTER DATABASE Sales SET PARTNER SUSPEND";
        after "30s" on alpha: "ALTER DATABASE Sales SET PARTNER RESUME";
        after "1s" on beta: "ALTER DATABASE Sales SET PARTNER RESUME";
    },
};

pub const SAFETY: Reference = Reference {
    name: "safety",
    risk: "A process or its machine goes down in the middle of one durable write of SAFETY OFF or of SAFETY FULL.",
    before: "",
    crash_at: "1500ms",
    until: "50s",
    steps: tried! {
        at "1500ms" on alpha: "ALTER DATABASE Sales SET PARTNER SAFETY OFF";
        after "1s" on alpha: "ALTER DATABASE Sales SET PARTNER SAFETY FULL";
        after "30s" on alpha: "ALTER DATABASE Sales SET PARTNER SAFETY FULL";
    },
};

pub const WITNESS: Reference = Reference {
    name: "witness",
    risk: "A process or its machine goes down in the middle of one durable write of taking the witness away or setting it.",
    before: "",
    crash_at: "1500ms",
    until: "50s",
    steps: tried! {
        at "1500ms" on alpha: "ALTER DATABASE Sales SET WITNESS OFF";
        after "1s" on alpha: "ALTER DATABASE Sales SET WITNESS = 'TCP://gamma.lab.example:7022'";
        after "30s" on alpha: "ALTER DATABASE Sales SET WITNESS = 'TCP://gamma.lab.example:7022'";
    },
};
