//! The rows: where each begins, what happens, and what the reference says of both partners.

use super::super::harness::{A, B, Trio, W, address};
use super::{PM, Row, command, cut, row, synchronizing};
use crate::session::{Command, PartnerInput};
use crate::types::Safety;

const PW: usize = 1;
const MW: usize = 2;

fn trio() -> Trio {
    Trio::started(true)
}

fn pair() -> Trio {
    Trio::started(false)
}

/// The link of these came back, and nothing more than that.
fn behind(mut trio: Trio) -> Trio {
    cut(&mut trio, &[PM]);
    trio.append(A);
    trio.drain();
    synchronizing(&mut trio);
    trio
}

fn apart(mut trio: Trio) -> Trio {
    cut(&mut trio, &[PM]);
    trio
}

fn alone() -> Trio {
    let mut trio = trio();
    cut(&mut trio, &[PM, PW, MW]);
    trio
}

fn suspended() -> Trio {
    let mut trio = trio();
    command(&mut trio, A, Command::Suspend);
    trio
}

fn safety_off() -> Trio {
    let mut trio = pair();
    command(&mut trio, A, Command::Safety { safety: Safety::Off });
    trio
}

fn witness_away(link: usize) -> Trio {
    let mut trio = trio();
    cut(&mut trio, &[link]);
    trio
}

fn back(trio: &mut Trio, link: usize) {
    trio.connect(link);
    trio.drain();
}

/// Its process dies; once the others have noticed, it starts again and finds nobody yet.
fn starts_anew(trio: &mut Trio, of: usize) {
    trio.crash(of, 0);
    trio.drain();
    trio.restart(of);
    trio.drain();
}

fn taken_over() -> Trio {
    let mut trio = trio();
    trio.append(A);
    cut(&mut trio, &[PM, PW]);
    trio
}

fn forced() -> Trio {
    let mut trio = apart(pair());
    command(&mut trio, B, Command::ForceService);
    trio
}

pub(super) fn rows() -> Vec<Row> {
    let (p_synced, p_syncing) = (
        "PRINCIPAL SYNCHRONIZED, serves",
        "PRINCIPAL SYNCHRONIZING, serves",
    );
    let (p_exposed, p_stopped) = ("PRINCIPAL DISCONNECTED, serves", "PRINCIPAL DISCONNECTED");
    let p_suspended = "PRINCIPAL SUSPENDED, serves";
    let (m_synced, m_syncing) = ("MIRROR SYNCHRONIZED", "MIRROR SYNCHRONIZING");
    let (m_lost, m_suspended) = ("MIRROR DISCONNECTED", "MIRROR SUSPENDED");
    vec![
        row(
            "T1",
            "SET PARTNER",
            Trio::waiting,
            synchronizing,
            ("none", p_syncing, &[0, 13]),
            ("none", m_syncing, &[0, 11]),
        ),
        row(
            "T2",
            "the mirror has everything, with a witness",
            || behind(trio()),
            |t| {
                t.drain();
            },
            (p_syncing, p_synced, &[1]),
            (m_syncing, m_synced, &[3]),
        ),
        row(
            "T2",
            "the mirror has everything, without a witness",
            || behind(pair()),
            |t| {
                t.drain();
            },
            (p_syncing, p_synced, &[2]),
            (m_syncing, m_synced, &[4]),
        ),
        row(
            "T2'",
            "the mirror has everything, SAFETY OFF",
            || behind(safety_off()),
            |t| {
                t.drain();
            },
            (p_syncing, p_syncing, &[]),
            (m_syncing, m_syncing, &[]),
        ),
        row(
            "T2'",
            "SAFETY OFF",
            pair,
            |t| command(t, A, Command::Safety { safety: Safety::Off }),
            (p_synced, p_syncing, &[13]),
            (m_synced, m_syncing, &[11]),
        ),
        row(
            "T2",
            "SAFETY FULL",
            safety_off,
            |t| command(t, A, Command::Safety { safety: Safety::Full }),
            (p_syncing, p_synced, &[2]),
            (m_syncing, m_synced, &[4]),
        ),
        row(
            "event 2",
            "the principal loses the witness",
            trio,
            |t| cut(t, &[PW]),
            (p_synced, p_synced, &[2]),
            (m_synced, m_synced, &[]),
        ),
        row(
            "event 1",
            "the principal finds the witness again",
            || witness_away(PW),
            |t| back(t, PW),
            (p_synced, p_synced, &[1]),
            (m_synced, m_synced, &[]),
        ),
        row(
            "event 4",
            "the mirror loses the witness",
            trio,
            |t| cut(t, &[MW]),
            (p_synced, p_synced, &[]),
            (m_synced, m_synced, &[4]),
        ),
        row(
            "event 3",
            "the mirror finds the witness again",
            || witness_away(MW),
            |t| back(t, MW),
            (p_synced, p_synced, &[]),
            (m_synced, m_synced, &[3]),
        ),
        row(
            "events 1 3",
            "SET WITNESS",
            pair,
            |t| {
                t.command(A, Command::SetWitness { address: address(W) });
                t.calm();
            },
            (p_synced, p_synced, &[1]),
            (m_synced, m_synced, &[3]),
        ),
        row(
            "events 2 4",
            "WITNESS OFF",
            trio,
            |t| command(t, A, Command::WitnessOff),
            (p_synced, p_synced, &[2]),
            (m_synced, m_synced, &[4]),
        ),
        row(
            "T3 T4",
            "the partners' link is lost, the witness sees both",
            trio,
            |t| cut(t, &[PM]),
            (p_synced, p_exposed, &[6, 12]),
            (m_synced, m_lost, &[5]),
        ),
        row(
            "T3 T4",
            "the partners' link is lost while SYNCHRONIZING",
            || behind(trio()),
            |t| cut(t, &[PM]),
            (p_syncing, p_exposed, &[6, 12]),
            (m_syncing, m_lost, &[5]),
        ),
        row(
            "T3 T4",
            "the partners' link is lost, without a witness",
            pair,
            |t| cut(t, &[PM]),
            (p_synced, p_exposed, &[6, 12]),
            (m_synced, m_lost, &[5]),
        ),
        row(
            "T3 T4",
            "the partners' link is lost, SAFETY OFF",
            safety_off,
            |t| cut(t, &[PM]),
            (p_syncing, p_exposed, &[6]),
            (m_syncing, m_lost, &[5]),
        ),
        row(
            "T3 T5",
            "all links are lost",
            trio,
            |t| cut(t, &[PM, PW, MW]),
            (p_synced, p_stopped, &[6, 10]),
            (m_synced, m_lost, &[5, 10]),
        ),
        row(
            "T6",
            "the principal finds the witness",
            alone,
            |t| {
                t.connect(PW);
                t.drain();
            },
            (p_stopped, p_exposed, &[12]),
            (m_lost, m_lost, &[]),
        ),
        row(
            "T6 T7 T2",
            "the principal finds the mirror",
            alone,
            |t| {
                t.connect(PM);
                t.drain();
            },
            (p_stopped, p_synced, &[13, 2]),
            (m_lost, m_synced, &[11, 4]),
        ),
        row(
            "T7 T2",
            "the partners meet again",
            || apart(trio()),
            |t| {
                t.connect(PM);
                t.drain();
            },
            (p_exposed, p_synced, &[13, 1]),
            (m_lost, m_synced, &[11, 3]),
        ),
        row(
            "T3",
            "the partners' link is lost while SUSPENDED",
            suspended,
            |t| cut(t, &[PM]),
            (p_suspended, p_exposed, &[6]),
            (m_suspended, m_lost, &[5]),
        )
        .explained("S16"),
        row(
            "T8",
            "the partners meet again, SUSPENDED before",
            || apart(suspended()),
            |t| {
                t.connect(PM);
                t.drain();
            },
            (p_suspended, p_suspended, &[]),
            (m_suspended, m_suspended, &[]),
        ),
        row(
            "T9 T2",
            "the principal returns after an automatic failover",
            taken_over,
            |t| {
                t.connect(PM);
                t.connect(PW);
                t.drain();
            },
            (p_stopped, m_synced, &[11, 3]),
            (p_exposed, p_synced, &[13, 1]),
        ),
        row(
            "T10",
            "the principal returns after a forced service",
            forced,
            |t| {
                t.connect(PM);
                t.drain();
            },
            (p_exposed, m_suspended, &[9]),
            (p_suspended, p_suspended, &[]),
        ),
        row(
            "T11",
            "SUSPEND on the principal",
            trio,
            |t| command(t, A, Command::Suspend),
            (p_synced, p_suspended, &[9]),
            (m_synced, m_suspended, &[9]),
        ),
        row(
            "T11",
            "SUSPEND on the mirror",
            trio,
            |t| command(t, B, Command::Suspend),
            (p_synced, p_suspended, &[9]),
            (m_synced, m_suspended, &[9]),
        ),
        row(
            "T11",
            "SUSPEND on the mirror while SYNCHRONIZING",
            || behind(trio()),
            |t| command(t, B, Command::Suspend),
            (p_syncing, p_suspended, &[9]),
            (m_syncing, m_suspended, &[9]),
        ),
        row(
            "T12",
            "the mirror's data file fails",
            trio,
            |t| {
                t.input(B, PartnerInput::DataFileFailed);
                t.drain();
            },
            (p_synced, p_suspended, &[9]),
            (m_synced, m_suspended, &[9]),
        ),
        row(
            "T12",
            "the mirror's data file fails while SYNCHRONIZING",
            || behind(trio()),
            |t| {
                t.input(B, PartnerInput::DataFileFailed);
                t.drain();
            },
            (p_syncing, p_suspended, &[9]),
            (m_syncing, m_suspended, &[9]),
        ),
        row(
            "T12 T13 T2",
            "a page of the mirror is damaged, and repaired",
            trio,
            |t| {
                t.damage_page(B);
                t.drain();
            },
            (p_synced, p_synced, &[9, 13, 1]),
            (m_synced, m_synced, &[9, 11, 3]),
        )
        .explained("S46"),
        row(
            "T13 T2",
            "RESUME",
            suspended,
            |t| command(t, A, Command::Resume),
            (p_suspended, p_synced, &[13, 1]),
            (m_suspended, m_synced, &[11, 3]),
        )
        .explained("S46"),
        row(
            "T10 T13 T2",
            "RESUME after a forced service",
            || {
                let mut t = forced();
                t.connect(PM);
                t.drain();
                t
            },
            |t| command(t, B, Command::Resume),
            (m_suspended, m_synced, &[11, 4]),
            (p_suspended, p_synced, &[13, 2]),
        )
        .explained("S46"),
        row(
            "T14",
            "FAILOVER, begun",
            trio,
            |t| {
                t.command(A, Command::Failover);
            },
            (p_synced, "PRINCIPAL PENDING_FAILOVER", &[7]),
            (m_synced, m_synced, &[]),
        ),
        row(
            "T14 T2",
            "FAILOVER",
            trio,
            |t| {
                t.command(A, Command::Failover);
                t.calm();
            },
            (p_synced, m_synced, &[7, 11, 3]),
            (m_synced, p_synced, &[13, 1]),
        )
        .explained("S46"),
        row(
            "T14",
            "FAILOVER on the mirror, which refuses it",
            trio,
            |t| {
                t.command(B, Command::Failover);
                t.drain();
            },
            (p_synced, p_synced, &[]),
            (m_synced, m_synced, &[]),
        ),
        row(
            "T14 T11",
            "FAILOVER, and SUSPEND on the mirror before it hears of that",
            trio,
            |t| {
                t.command(A, Command::Failover);
                command(t, B, Command::Suspend);
            },
            (p_synced, p_suspended, &[7, 9]),
            (m_synced, m_suspended, &[9]),
        )
        .explained("S57"),
        row(
            "T14 T3",
            "FAILOVER, cut off before the mirror hears of it",
            pair,
            |t| {
                t.command(A, Command::Failover);
                cut(t, &[PM]);
            },
            (p_synced, p_stopped, &[7, 6]),
            (m_synced, m_lost, &[5]),
        ),
        row(
            "T14 T7 T2",
            "FAILOVER, cut off, is taken back when the partners meet again",
            || {
                let mut t = pair();
                t.command(A, Command::Failover);
                cut(&mut t, &[PM]);
                t
            },
            |t| back(t, PM),
            (p_stopped, p_synced, &[13, 2]),
            (m_lost, m_synced, &[11, 4]),
        ),
        row(
            "T3 T5 T15",
            "the principal is cut off",
            trio,
            |t| cut(t, &[PM, PW]),
            (p_synced, p_stopped, &[6, 10]),
            (m_synced, p_exposed, &[5, 8, 12]),
        ),
        row(
            "T16",
            "FORCE_SERVICE_ALLOW_DATA_LOSS, without a witness",
            || apart(pair()),
            |t| command(t, B, Command::ForceService),
            (p_exposed, p_exposed, &[]),
            (m_lost, p_suspended, &[7, 9]),
        ),
        row(
            "T16",
            "FORCE_SERVICE_ALLOW_DATA_LOSS, with the witness",
            || {
                let mut t = behind(trio());
                cut(&mut t, &[PM, PW]);
                t
            },
            |t| command(t, B, Command::ForceService),
            (p_stopped, p_stopped, &[]),
            (m_lost, p_suspended, &[7, 9]),
        ),
        row(
            "T17",
            "OFF on the principal",
            trio,
            |t| command(t, A, Command::Off),
            (p_synced, "none", &[]),
            (m_synced, "none", &[]),
        ),
        row(
            "T17",
            "OFF on the mirror while SUSPENDED",
            suspended,
            |t| command(t, B, Command::Off),
            (p_suspended, "none", &[]),
            (m_suspended, "none", &[]),
        ),
        row(
            "T17",
            "OFF on the mirror while apart",
            || apart(pair()),
            |t| command(t, B, Command::Off),
            (p_exposed, p_exposed, &[]),
            (m_lost, "none", &[]),
        ),
        row(
            "T3 T18",
            "the mirror starts anew, without a witness",
            pair,
            |t| starts_anew(t, B),
            (p_synced, p_exposed, &[6, 12]),
            (m_synced, m_lost, &[]),
        ),
        row(
            "T3 T18",
            "the mirror starts anew, with a witness",
            trio,
            |t| starts_anew(t, B),
            (p_synced, p_exposed, &[6, 12]),
            (m_synced, m_lost, &[]),
        )
        .explained("S34"),
        row(
            "T18 T15",
            "the principal starts anew, and the mirror has taken over",
            trio,
            |t| starts_anew(t, A),
            (p_synced, p_stopped, &[10]),
            (m_synced, p_exposed, &[5, 8, 12]),
        ),
        row(
            "T18",
            "both start anew while SUSPENDED",
            suspended,
            |t| {
                for of in [A, B] {
                    t.crash(of, 0);
                    t.drain();
                }
                for of in [A, B] {
                    t.restart(of);
                    t.drain();
                }
            },
            (p_suspended, "PRINCIPAL SUSPENDED", &[9, 10]),
            (m_suspended, m_suspended, &[5, 9, 10]),
        ),
    ]
}
