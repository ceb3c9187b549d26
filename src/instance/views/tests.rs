//! Queries a DBA runs, the errors they can end with, and what no text may do.

use proptest::prelude::*;

use super::*;
use crate::tsql::{Select, Statement, parse, render_error};
use crate::types::{Guid, Lsn, MirroringState, PartnerRole, ReplyItem, Safety};

/// Two databases, one of them mirrored; an endpoint; a login with CONNECT; a table `accounts` in `sales`.
struct Alpha;

fn sales() -> DatabaseMirroringRow {
    DatabaseMirroringRow {
        mirroring_guid: Some(Guid::from_bytes([1; 16])),
        mirroring_state: Some(MirroringState::Synchronized.into()),
        mirroring_role: Some(PartnerRole::Principal.into()),
        mirroring_role_sequence: Some(1),
        mirroring_safety_level: Some(Safety::Full.into()),
        mirroring_safety_sequence: Some(1),
        mirroring_partner_name: Some("TCP://beta:7022".into()),
        mirroring_partner_instance: Some("BETA".into()),
        mirroring_witness_name: Some("TCP://gamma:7022".into()),
        mirroring_failover_lsn: Some(Lsn::new(4096)),
        mirroring_connection_timeout: Some(10),
        mirroring_redo_queue_type: Some("UNLIMITED"),
        ..DatabaseMirroringRow::not_mirrored(5)
    }
}

fn database(id: i64, name: &str) -> Vec<Value> {
    DatabaseRow {
        name: name.into(),
        database_id: id,
        owner_sid: Some("0x01".into()),
        create_date: WallTime::from_unix_secs(1_767_225_600),
        state: DatabaseState::Online,
        recovery_model: RecoveryModelShown::Full,
        is_master_key_encrypted_by_server: id == 1,
        service_broker_guid: Guid::from_bytes([0; 16]),
        log_reuse_wait: LogReuseWait::Nothing,
    }
    .into_values()
}

impl SystemViews for Alpha {
    fn rows(&self, view: View) -> Result<Vec<Vec<Value>>, SqlError> {
        Ok(match view {
            View::Databases => vec![database(1, "master"), database(5, "sales")],
            View::DatabaseMirroring => vec![
                DatabaseMirroringRow::not_mirrored(1).into_values(),
                sales().into_values(),
            ],
            View::Endpoints => vec![
                EndpointRow {
                    name: "Mirroring".into(),
                    endpoint_id: 65536,
                    principal_id: Some(1),
                    protocol: PROTOCOL_TCP,
                    kind: TYPE_DATABASE_MIRRORING,
                    state: Coded::new(0, "STARTED"),
                    is_admin_endpoint: false,
                }
                .into_values(),
            ],
            View::ServerPermissions => vec![
                ServerPermissionRow {
                    class: Coded::new(105, "ENDPOINT"),
                    major_id: 65536,
                    minor_id: 0,
                    grantee_principal_id: 260,
                    grantor_principal_id: 1,
                    kind: "CO  ",
                    permission_name: "CONNECT",
                    state: "G",
                    state_desc: "GRANT",
                }
                .into_values(),
            ],
            View::ServerPrincipals => vec![
                ServerPrincipalRow {
                    name: "beta_login".into(),
                    principal_id: 260,
                    sid: "0x02".into(),
                    kind: "S",
                    type_desc: "SQL_LOGIN",
                    is_disabled: false,
                    create_date: WallTime::from_unix_secs(0),
                    modify_date: WallTime::from_unix_secs(0),
                    default_database_name: Some("master".into()),
                    default_language_name: None,
                    credential_id: None,
                    owning_principal_id: None,
                    is_fixed_role: false,
                }
                .into_values(),
            ],
            _ => Vec::new(),
        })
    }

    fn table(&self, database: Option<&str>, name: &str) -> Result<Option<Table>, SqlError> {
        if database.is_some_and(|database| !database.eq_ignore_ascii_case("sales")) {
            return Err(crate::error::msg::DATABASE_MISSING.with(&[&database.unwrap_or_default()]));
        }
        Ok(name.eq_ignore_ascii_case("accounts").then(|| Table {
            columns: vec!["id".into(), "balance".into()],
            rows: (1..=300)
                .map(|n| vec![Value::Int(n), Value::Int(n * 10)])
                .collect(),
        }))
    }

    fn server_name(&self) -> &str {
        "ALPHA"
    }

    fn login_name(&self) -> &str {
        "sa"
    }

    fn edition(&self) -> String {
        "Enterprise Edition (64-bit)".into()
    }

    fn product_version(&self) -> &'static str {
        "13.0.0.0"
    }

    fn current_database(&self) -> &str {
        "sales"
    }

    fn wall_time(&self) -> WallTime {
        WallTime::from_unix_secs(1_767_225_661)
    }
}

fn select(sql: &str) -> Select {
    let statements = parse(sql).unwrap_or_else(|error| panic!("{}", render_error(sql, &error)));
    match statements.into_iter().next().map(|statement| statement.node) {
        Some(Statement::Select(select)) => select,
        other => panic!("{sql}: {other:?}"),
    }
}

fn run(sql: &str) -> Result<(Vec<String>, Vec<Vec<Value>>), SqlError> {
    match QueryEngine::new().run(&select(sql), &Alpha, &Limits::default())? {
        ReplyItem::Rows { columns, rows } => Ok((columns, rows)),
        other => panic!("{other:?}"),
    }
}

/// The answer as lines of values with blanks between.
fn answer(sql: &str) -> Vec<String> {
    let (_, rows) = run(sql).unwrap_or_else(|error| panic!("{}", render_error(sql, &error)));
    let line = |row: &Vec<Value>| row.iter().map(Value::to_string).collect::<Vec<_>>().join(" ");
    rows.iter().map(line).collect()
}

fn shown(sql: &str) -> String {
    match run(sql) {
        Ok(answer) => panic!("{sql} answered {answer:?}"),
        Err(error) => render_error(sql, &error),
    }
}

#[test]
fn every_view_answers_with_its_documented_columns() {
    for view in View::ALL {
        let arguments = match view {
            View::FnTraceGettable => "(DEFAULT, DEFAULT)",
            _ => "",
        };
        let schema = match view {
            View::SuspectPages => "msdb.dbo",
            _ => "sys",
        };
        let (columns, _) = run(&format!("SELECT * FROM {schema}.{}{arguments}", view.name())).unwrap();
        let documented: Vec<&str> = view.columns().iter().map(|column| column.name).collect();
        assert_eq!(columns, documented, "{}", view.name());
        for row in Alpha.rows(view).unwrap() {
            assert_eq!(row.len(), documented.len(), "{}", view.name());
        }
    }
    let widths = View::ALL.map(|view| view.columns().len());
    assert_eq!(
        widths,
        [10, 13, 18, 21, 13, 27, 60, 10, 13, 15, 2, 16, 9, 29, 5, 6, 6]
    );
}

#[test]
fn monitoring_queries_run_unchanged() {
    let names = answer(
        "SELECT d.name, m.mirroring_role_desc, m.mirroring_state_desc, m.mirroring_safety_level_desc,
                m.mirroring_partner_name, m.mirroring_witness_name
         FROM sys.database_mirroring AS m
         INNER JOIN sys.databases AS d ON m.database_id = d.database_id
         WHERE m.mirroring_guid IS NOT NULL
         ORDER BY d.name;",
    );
    assert_eq!(
        names,
        ["sales PRINCIPAL SYNCHRONIZED FULL TCP://beta:7022 TCP://gamma:7022"]
    );
    assert_eq!(
        answer(
            "SELECT TOP (1) DB_NAME(database_id) AS [Database], mirroring_state_desc
             FROM master.sys.database_mirroring WITH (NOLOCK)
             WHERE mirroring_guid IS NOT NULL ORDER BY mirroring_role DESC"
        ),
        ["sales SYNCHRONIZED"]
    );
    assert_eq!(
        answer(
            "SELECT 'Database ' + d.[name] + N' is ' + CASE m.mirroring_role WHEN 1 THEN 'the principal'
                WHEN 2 THEN 'the mirror' ELSE ISNULL(m.mirroring_role_desc, 'not mirrored') END AS status
             FROM sys.databases d LEFT JOIN sys.database_mirroring m ON m.database_id = d.database_id
             ORDER BY status DESC"
        ),
        [
            "Database sales is the principal",
            "Database master is not mirrored"
        ]
    );
    assert_eq!(
        answer(
            "SELECT ep.name, sp2.name AS grantee, sp.state_desc
             FROM sys.server_permissions sp
             JOIN sys.endpoints ep ON sp.major_id = ep.endpoint_id AND sp.class = 105
             JOIN sys.server_principals sp2 ON sp2.principal_id = sp.grantee_principal_id
             WHERE sp.type = 'co' AND ep.type_desc LIKE 'database[_]mirr%'"
        ),
        ["Mirroring beta_login GRANT"]
    );
    assert_eq!(
        answer("SELECT SUSER_NAME(grantee_principal_id), type FROM sys.server_permissions"),
        ["beta_login CO  "]
    );
    assert_eq!(
        answer(
            "SELECT mirroring_state_desc, COUNT(*) AS n FROM sys.database_mirroring
             WHERE mirroring_state_desc IN ('Synchronized', 'SYNCHRONIZING')
             GROUP BY mirroring_state_desc HAVING COUNT(*) > 0"
        ),
        ["SYNCHRONIZED 1"]
    );
}

#[test]
fn functions_of_the_server_answer() {
    assert_eq!(
        answer(
            "SELECT @@SERVERNAME, SERVERPROPERTY('ServerName'), SUSER_SNAME(), DB_NAME(), DB_ID('SALES'), DB_NAME(1),
                    SERVERPROPERTY('Unknown')"
        ),
        ["ALPHA ALPHA sa sales 5 master NULL"]
    );
    assert_eq!(
        answer(
            "SELECT GETUTCDATE(), CONVERT(varchar(19), SYSUTCDATETIME(), 120), CONVERT(varchar(8), GETDATE(), 112)"
        ),
        ["2026-01-01 00:01:01.000 2026-01-01 00:01:01 20260101"]
    );
    assert_eq!(
        answer(
            "SELECT DATEDIFF(minute, create_date, GETUTCDATE()), DATEADD(day, -1, create_date), name
             FROM sys.databases WHERE create_date = '20260101' AND database_id = '5'"
        ),
        ["1 2025-12-31 00:00:00.000 sales"]
    );
    assert_eq!(
        answer(
            "SELECT LEN('ab  '), LEFT('mirror', 3), RIGHT('mirror', 2), SUBSTRING('mirror', 2, 3), CHARINDEX('R', 'mirror')"
        ),
        ["2 mir or irr 3"]
    );
    assert_eq!(
        answer(
            "SELECT CAST(7 / 2 AS varchar(10)) + '/' + CONVERT(nvarchar(5), 7 % 2), -7 / 2, IIF(1 = 1, 'y', 'n')"
        ),
        ["3/1 -3 y"]
    );
}

#[test]
fn shapes_of_queries_are_translated() {
    assert_eq!(
        answer(
            "WITH m (id, role) AS (SELECT database_id, mirroring_role_desc FROM sys.database_mirroring)
             SELECT d.name, x.role FROM (SELECT id, role FROM m WHERE role IS NOT NULL) AS x, sys.databases d
             WHERE d.database_id = x.id"
        ),
        ["sales PRINCIPAL"]
    );
    assert_eq!(
        answer("SELECT name FROM sys.databases UNION SELECT 'SALES' UNION ALL SELECT 'zeta' ORDER BY name")
            .len(),
        3
    );
    assert_eq!(
        answer(
            "SELECT name FROM sys.databases d WHERE EXISTS
               (SELECT 1 FROM sys.database_mirroring m WHERE m.database_id = d.database_id AND mirroring_role = 1)
             AND database_id NOT IN (SELECT 1) AND database_id BETWEEN 2 AND 9"
        ),
        ["sales"]
    );
    assert_eq!(
        answer("SELECT DISTINCT state_desc FROM sys.databases ORDER BY state_desc"),
        ["ONLINE"]
    );
    assert_eq!(
        answer("SELECT name FROM sys.databases ORDER BY database_id OFFSET 1 ROWS FETCH NEXT 1 ROWS ONLY"),
        ["sales"]
    );
    assert_eq!(
        answer("SELECT TOP 2 id, balance + 1 AS b FROM dbo.accounts WHERE id > 5 ORDER BY 1 DESC"),
        ["300 3001", "299 2991"]
    );
    assert_eq!(
        answer("SELECT sum(balance), avg(balance), max(id) FROM sales..accounts"),
        ["451500 1505 300"]
    );
    assert_eq!(
        answer("SELECT sys.databases.name FROM sys.databases WHERE databases.database_id = 1"),
        ["master"]
    );
}

#[test]
fn bits_stay_bits() {
    let (columns, rows) =
        run("SELECT is_read_only, is_fulltext_enabled FROM sys.databases WHERE name = 'SALES '").unwrap();
    assert_eq!(columns, ["is_read_only", "is_fulltext_enabled"]);
    assert_eq!(rows, [[Value::Bool(false), Value::Bool(true)]]);
}

#[test]
fn an_engine_answers_again_and_sees_new_rows_only() {
    let mut engine = QueryEngine::new();
    let query = select("SELECT count(*) FROM sys.databases, accounts");
    for _ in 0..3 {
        let item = engine.run(&query, &Alpha, &Limits::default()).unwrap();
        assert_eq!(
            item,
            ReplyItem::Rows {
                columns: vec![String::new()],
                rows: vec![vec![Value::Int(600)]]
            }
        );
        let bad = select("SELECT 1 / 0 FROM accounts");
        assert_eq!(
            engine.run(&bad, &Alpha, &Limits::default()).unwrap_err().number,
            8134
        );
    }
}

#[test]
fn errors_point_at_their_place() {
    let errors = [
        "SELECT nam FROM sys.databases",
        "SELECT d.nam\nFROM sys.databases d",
        "SELECT x.name FROM sys.databases d",
        "SELECT name FROM sys.database",
        "SELECT * FROM customers",
        "SELECT * FROM other.dbo.accounts",
        "SELECT database_id FROM sys.databases d JOIN sys.database_mirroring m ON d.database_id = m.database_id",
        "SELECT name FROM sys.databases WHERE create_date > 'tomorrow'",
        "SELECT name FROM sys.databases WHERE database_id = 'five'",
        "SELECT name + database_id FROM sys.databases",
        "SELECT 9223372036854775807 + 1",
        "SELECT 9223372036854775808",
        "SELECT CAST(balance AS tinyint) FROM accounts",
        "SELECT sum(id * 9223372036854775) FROM accounts",
        "SELECT id INTO copy FROM accounts",
        "SELECT ROW_NUMBER() OVER (ORDER BY id) FROM accounts",
        "SELECT name FROM msdb.sys.databases",
        "SELECT HASHBYTES('MD5', 'x')",
        "SELECT @@SPID",
        "SELECT id FROM accounts FOR XML AUTO",
    ];
    let shown: Vec<String> = errors.into_iter().map(shown).collect();
    insta::assert_snapshot!(shown.join("\n"));
}

#[test]
fn a_query_ends_at_its_limits() {
    let bomb =
        "SELECT count(*) FROM accounts a, accounts b, accounts c, accounts d WHERE a.id + b.id = c.id - d.id";
    let error = run(bomb).unwrap_err();
    assert_eq!(error.number, 8622);
    assert!(error.text.contains("10000000 steps"), "{error}");
    let limits = Limits {
        rows_max: 10,
        ..Limits::default()
    };
    let error = QueryEngine::new()
        .run(&select("SELECT * FROM accounts"), &Alpha, &limits)
        .unwrap_err();
    assert!(error.text.contains("more than 10 rows"), "{error}");
    let doubling = (0..20).fold("SELECT '0123456789abcdef' AS x".to_owned(), |inner, n| {
        format!("SELECT x + x AS x FROM ({inner}) AS t{n}")
    });
    assert_eq!(run(&doubling).unwrap_err().number, 8622);
}

#[test]
fn long_expressions_are_answered() {
    let sum = format!("SELECT 1{}", " + 1".repeat(400));
    assert_eq!(answer(&sum), ["401"]);
    let condition = vec!["database_id = 5"; 200].join(" OR ");
    assert_eq!(
        answer(&format!("SELECT name FROM sys.databases WHERE {condition}")),
        ["sales"]
    );
    let list: Vec<String> = (0..5_000).map(|n| n.to_string()).collect();
    assert_eq!(
        answer(&format!(
            "SELECT count(*) FROM accounts WHERE id IN ({})",
            list.join(", ")
        )),
        ["300"]
    );
    let text = "x".repeat(5_000);
    assert_eq!(answer(&format!("SELECT LEN('{text}' + '{text}')")), ["10000"]);
}

#[test]
fn point_reads_are_recognised_by_their_shape() {
    let read = point_read(&select(
        "SELECT id, Balance FROM sales.dbo.[accounts] WHERE id = -7;",
    ))
    .unwrap();
    assert_eq!(read.database.as_deref(), Some("sales"));
    assert_eq!(
        (read.table.as_str(), read.key_column.as_str(), read.key),
        ("accounts", "id", -7)
    );
    assert_eq!(read.columns, ["id", "Balance"]);
    for other in [
        "SELECT name FROM sys.databases WHERE database_id = 1",
        "SELECT balance AS b FROM accounts WHERE id = 1",
        "SELECT TOP 1 balance FROM accounts WHERE id = 1",
        "SELECT balance FROM accounts",
        "SELECT balance FROM accounts WHERE id > 1",
        "SELECT balance FROM accounts WHERE id = 1 ORDER BY balance",
        "SELECT balance FROM accounts a, accounts b WHERE id = 1",
        "SELECT count(*) FROM accounts WHERE id = 1",
        "SELECT balance FROM accounts WHERE id = 99999999999999999999",
    ] {
        assert_eq!(point_read(&select(other)), None, "{other}");
    }
}

#[test]
fn the_fast_path_and_the_engine_agree() {
    let sql = "SELECT balance FROM accounts WHERE id = 7";
    assert!(point_read(&select(sql)).is_some());
    assert_eq!(answer(sql), ["70"]);
}

const WORDS: &[&str] = &[
    "SELECT",
    "TOP",
    "1",
    "*",
    "name",
    "d.name",
    "FROM",
    "sys.databases",
    "d",
    "accounts",
    "WHERE",
    "=",
    "<>",
    "AND",
    "OR",
    "NOT",
    "IN",
    "(",
    ")",
    ",",
    "'x'",
    "NULL",
    "IS",
    "CASE",
    "WHEN",
    "THEN",
    "ELSE",
    "END",
    "+",
    "-",
    "/",
    "JOIN",
    "ON",
    "UNION",
    "ORDER BY",
    "GROUP BY",
    "COUNT(*)",
    "LEN(",
    "CAST(",
    "AS",
    "int",
    "BETWEEN",
    "LIKE",
    "EXISTS",
    "@@x",
    "CONVERT(",
    "OVER",
    "DISTINCT",
    "id",
    "AS x",
    "WITH",
    "9999999999999999999",
    "0x1F",
    "\u{0}",
    "é",
    "'",
    "[",
    "]",
];

proptest! {
    #[test]
    fn no_words_make_a_query_panic(words in proptest::collection::vec(proptest::sample::select(WORDS), 0..40)) {
        let sql = format!("SELECT {}", words.join(" "));
        if let Ok(statements) = parse(&sql) {
            let mut engine = QueryEngine::new();
            let limits = Limits { steps_max: 100_000, ..Limits::default() };
            for statement in statements {
                if let Statement::Select(select) = statement.node {
                    match engine.run(&select, &Alpha, &limits) {
                        Ok(_) => {}
                        Err(error) => {
                            let at = error.at.expect("every error of a query has a place");
                            prop_assert!(sql.get(at.start..at.end).is_some());
                        }
                    }
                }
            }
        }
    }
}
