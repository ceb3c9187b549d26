//! A hundred mirrored databases on one pair and one witness: load on several, one that is switched by hand alone, and a
//! principal that is lost, which moves all of them at once. The promises judge every database; the table of `moves` says
//! who took which role when. How much memory and idle time they cost is in `benches/budgets.rs`.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use mirrorlab::sim::launch;
use mirrorlab::sim::render;
use mirrorlab::sim::runner::{Run, Verdict, run};
use mirrorlab::sim::scenario::Library;
use mirrorlab::types::{Event, SessionEvent, Source, SwitchKind};

const DATABASES: usize = 100;
/// A client each.
const BUSY: [&str; 4] = ["Db001", "Db034", "Db067", "Db100"];
/// Switched by hand.
const SWITCHED: &str = "Db034";
const SWITCHED_AT: u64 = 8;
const LOST_AT: u64 = 16;

fn scenario() -> String {
    let mut text = format!(
        r#"
promise = "Of a hundred databases one is switched alone, and all fail over when their principal is lost."
risk = "They share one pair of connections, one witness, and an instance that dies under load."
source = "ours"
extends = "trio_endpoints"
until = "30s"
settle = "20s"

[[setup]]
mirror = {{ databases = {DATABASES}, principal = "alpha", mirror = "beta", witness = "gamma" }}

[[step]]
at = "{SWITCHED_AT}s"
on = "alpha"
sql = "ALTER DATABASE {SWITCHED} SET PARTNER FAILOVER;"

[[step]]
at = "{LOST_AT}s"
fault = {{ kind = "kill", instance = "alpha", lasts = "8s" }}

[[expect]]
on = "beta"
query = "SELECT mirroring_role_desc, mirroring_state_desc, mirroring_role_sequence, COUNT(*) FROM sys.database_mirroring WHERE mirroring_guid IS NOT NULL GROUP BY mirroring_role_desc, mirroring_state_desc, mirroring_role_sequence"
rows = [["PRINCIPAL", "SYNCHRONIZED", "2", "{DATABASES}"]]

[[expect]]
on = "gamma"
query = "SELECT principal_server_name, partner_sync_state_desc, COUNT(*) FROM sys.database_mirroring_witnesses GROUP BY principal_server_name, partner_sync_state_desc"
rows = [["BETA", "SYNCHRONIZED", "{DATABASES}"]]

[[expect]]
on = "beta"
query = "SELECT COUNT(*) FROM sys.dm_db_mirroring_connections"
rows = [["3"]]
"#
    );
    for database in BUSY {
        text += &format!(
            r#"
[[client]]
name = "{database}_app"
initial = "alpha"
failover_partner = "beta"
database = "{database}"
rate = 5

[[expect]]
client = "{database}_app"
outage = {{ at_most = "6s" }}

[[expect]]
database = "{database}"
healed = true
"#
        );
    }
    text
}

/// When each database was taken over and how, in seconds after the set-up.
fn moves(run: &Run) -> BTreeMap<String, Vec<(Duration, SwitchKind)>> {
    let mut moves: BTreeMap<String, Vec<_>> = BTreeMap::new();
    for stamped in run.trace.events() {
        if let (Source::Instance(_), Event::Session(SessionEvent::Takeover { database, kind, .. })) =
            (&stamped.source, &stamped.event)
        {
            let at = stamped.at.since(run.setup_end);
            moves.entry(database.to_string()).or_default().push((at, *kind));
        }
    }
    moves
}

#[test]
fn one_of_a_hundred_moves_alone_and_all_move_with_their_instance() {
    let mut library = Library::built_in();
    library.insert("session/hundred", &scenario());
    let scenario = library
        .load("session/hundred")
        .unwrap_or_else(|error| panic!("{}", error.report()));
    let run = run(&launch::instances(), &scenario, 1);
    assert_eq!(run.verdict, Verdict::Pass, "{}", render::verdict(&run));

    let moves = moves(&run);
    assert_eq!(moves.len(), DATABASES, "each of them moves");
    let by_hand: BTreeSet<&str> = moves
        .iter()
        .filter(|(_, moves)| moves.iter().any(|(_, kind)| *kind == SwitchKind::Manual))
        .map(|(database, _)| database.as_str())
        .collect();
    assert_eq!(by_hand, BTreeSet::from([SWITCHED]), "nobody else moves by hand");
    for (database, moves) in &moves {
        let [(at, kind)] = moves[..] else {
            panic!("{database} moves more than once: {moves:?}");
        };
        let expected = match database == SWITCHED {
            true => SwitchKind::Manual,
            false => SwitchKind::Automatic,
        };
        let from = Duration::from_secs(if database == SWITCHED {
            SWITCHED_AT
        } else {
            LOST_AT
        });
        assert_eq!(kind, expected, "{database}");
        // The process dies, and its system says so at once; all are redone and recorded on one disk.
        assert!(
            at >= from && at <= from + Duration::from_secs(2),
            "{database} moves after {at:?}"
        );
    }
}
