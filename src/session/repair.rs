//! Automatic page repair: a page of the data file that cannot be read is fetched from the other partner.
//!
//! The *principal* asks while the session is SYNCHRONIZED (with SAFETY OFF, where it never is, while log flows), naming where
//! its log is hardened to; the mirror answers once it has redone that. The page stays inaccessible until then, and the session
//! as it is. The *mirror* suspends the session first, asks, and once every page is here has the session resumed; each page
//! is put in place when redo has come to where the principal's copy stood, and only after that the mirror calls itself
//! synchronized, or lets service be forced on it. A failover that is under way when the damage is found goes on: the copy has
//! every commit but for one page, which it then asks for as principal. A mirror resumes what it suspended itself, and nothing
//! else: a SUSPEND in between raises the sequence, the principal's record says which suspension is its own, and a restart of
//! the mirror forgets. Whatever is not in place when the link is lost is asked for again on the next one.
//! Source: documented, *Automatic Page Repair*; who asks when under SAFETY OFF, and the retries, are ours.

use std::collections::{BTreeMap, BTreeSet};

use super::data_file::REDO_ERROR;
use super::partner::{Pair, Partner, Stage, Then};
use super::{Outbox, SessionOutput};
use crate::error::msg;
use crate::log::Log;
use crate::types::{Lsn, MirroringState, PageError, PageKey, RepairStatus, Safety, SessionEvent};
use crate::wire::mirroring::{Body, MirrorError};
use crate::wire::pages::PageMessage;

/// How often a principal asks for one page on one link. Source: ours.
const ATTEMPTS_MAX: u32 = 3;

/// A page that cannot be read.
const PAGE_ERROR: MirrorError = MirrorError {
    number: 824,
    state: 2,
    severity: 24,
};

/// Pages that the operating system could not read, and no others.
const SECTOR_ERROR: MirrorError = MirrorError {
    number: 823,
    state: 3,
    severity: 24,
};

/// Requests of the partner that wait for redo; one more is answered with a failure.
const ASKED_MAX: usize = 128;

/// What a page image is to be restored from: its rows as the log up to `lsn` makes them.
pub type PageImage = (Lsn, Vec<(i64, i64)>);

/// The damaged pages of this copy, and what the partner asked of it.
#[derive(Debug, Default)]
pub(super) struct Repairs {
    pages: BTreeMap<PageKey, Repair>,
    /// Those of them that the operating system could not read.
    unreadable: BTreeSet<PageKey>,
    /// Mirror: the suspension (by its sequence) that is its own, made for an error, and which.
    suspension: Option<(u32, MirrorError)>,
    /// Mirror: redo failed for good, and every suspension of this copy is for that.
    redo_failed: bool,
    /// Principal: the suspension (by its sequence) of which it has said that the mirror met an error.
    told_error: Option<u32>,
    /// Mirror: it has told that everything it asked for is here. Principal: it has been told so.
    all_here: Option<u32>,
    /// Principal: the suspension (by its sequence) that is being ended because the mirror has its pages.
    resuming: Option<u32>,
    asked: Vec<Asked>,
    last_request: u64,
}

#[derive(Debug)]
struct Repair {
    attempts: u32,
    stage: RepairStage,
}

#[derive(Debug)]
enum RepairStage {
    Found,
    Requested {
        request: u64,
    },
    Arrived(PageImage),
    /// The instance puts it in place.
    Restoring,
    Failed,
}

/// A request of the partner.
#[derive(Debug)]
struct Asked {
    request: u64,
    page: PageKey,
    at: Lsn,
}

impl Repairs {
    /// Nothing is damaged here, as far as is known.
    pub fn is_empty(&self) -> bool {
        self.pages.is_empty()
    }

    pub fn redo_failed(&self) -> bool {
        self.redo_failed
    }

    pub fn set_redo_failed(&mut self) {
        self.redo_failed = true;
    }

    /// What was on its way is lost, and is asked for anew.
    pub fn start_over(&mut self) {
        self.asked.clear();
        self.all_here = None;
        self.resuming = None;
        for repair in self.pages.values_mut() {
            if !matches!(repair.stage, RepairStage::Restoring) {
                *repair = Repair::FOUND;
            }
        }
    }

    fn requested(&mut self, request: u64) -> Option<(&PageKey, &mut Repair)> {
        self.pages
            .iter_mut()
            .find(|(_, repair)| matches!(repair.stage, RepairStage::Requested { request: r } if r == request))
    }

    fn pages_in(&self, wanted: impl Fn(&RepairStage) -> bool) -> Vec<PageKey> {
        let pages = self.pages.iter().filter(|(_, repair)| wanted(&repair.stage));
        pages.map(|(page, _)| page.clone()).collect()
    }
}

/// Whether a page can hold these rows: keys of its range, ascending.
fn are_rows_of(page: &PageKey, rows: &[(i64, i64)]) -> bool {
    let keys = page.keys();
    rows.iter().all(|(key, _)| keys.contains(key)) && rows.windows(2).all(|pair| pair[0].0 < pair[1].0)
}

impl Repair {
    const FOUND: Repair = Repair {
        attempts: 0,
        stage: RepairStage::Found,
    };
}

impl Partner {
    /// Whether pages of this copy are damaged and not restored yet.
    pub fn has_damaged_pages(&self) -> bool {
        !self.repairs.is_empty()
    }

    pub(super) fn on_page_damaged(&mut self, page: PageKey, error: PageError, out: &mut Outbox) {
        if !self.repairs.pages.contains_key(&page) {
            self.tell_repair(&page, RepairStatus::Queued, out);
            if error == PageError::Unreadable {
                self.repairs.unreadable.insert(page.clone());
            }
            self.repairs.pages.insert(page, Repair::FOUND);
        }
    }

    /// Principal: a statement wanted a page that is not there. A repair that failed is tried again.
    pub(super) fn on_page_wanted(&mut self, page: &PageKey, out: &mut Outbox) {
        let Some(repair) = self.repairs.pages.get_mut(page) else {
            return;
        };
        if matches!(repair.stage, RepairStage::Failed) && repair.attempts < ATTEMPTS_MAX {
            repair.stage = RepairStage::Found;
            self.tell_repair(page, RepairStatus::Queued, out);
        }
    }

    /// The instance put the page in place, or could not.
    pub(super) fn on_page_restored(&mut self, page: &PageKey, restored: bool, out: &mut Outbox) {
        if restored {
            self.repairs.pages.remove(page);
            self.repairs.unreadable.remove(page);
        } else {
            self.fail_repair(page, out);
        }
    }

    /// The instance read a page the partner asked for; `None` if it is damaged here, too.
    pub(super) fn on_page_read(
        &mut self,
        request: u64,
        page: &PageKey,
        at: Lsn,
        image: Option<PageImage>,
        out: &mut Outbox,
    ) {
        if self.pair != Pair::Established {
            return;
        }
        let Some((lsn, rows)) = image else {
            return self.to_partner(Body::Page(PageMessage::Failed { request }), out);
        };
        let (database, page) = (self.record.database.clone(), page.clone());
        out.emit(SessionEvent::PageSent {
            database,
            page,
            request,
            at,
            lsn,
        });
        self.to_partner(Body::Page(PageMessage::Image { request, lsn, rows }), out);
    }

    pub(super) fn on_page_message(&mut self, message: PageMessage, out: &mut Outbox) {
        match message {
            PageMessage::Request { request, page, at } => {
                self.on_page_request(Asked { request, page, at }, out)
            }
            PageMessage::Image { request, lsn, rows } => {
                let Some((page, repair)) = self.repairs.requested(request) else {
                    return;
                };
                let page = page.clone();
                if !are_rows_of(&page, &rows) {
                    out.log(msg::UNEXPECTED_MESSAGE.with(&[&"Page", &self.record.partner]));
                    self.note(format!("the partner sent other rows for the page {page}"), out);
                    return self.fail_repair(&page, out);
                }
                repair.stage = RepairStage::Arrived((lsn, rows));
                self.tell_repair(&page, RepairStatus::Received, out);
            }
            PageMessage::Failed { request } => {
                if let Some((page, _)) = self.repairs.requested(request) {
                    let page = page.clone();
                    self.fail_repair(&page, out);
                }
            }
            PageMessage::AllHere { suspend_sequence } if self.is_principal() => {
                self.repairs.all_here = Some(suspend_sequence);
            }
            PageMessage::AllHere { .. } => {}
        }
    }

    fn on_page_request(&mut self, asked: Asked, out: &mut Outbox) {
        if self.repairs.asked.len() >= ASKED_MAX {
            let request = asked.request;
            return self.to_partner(Body::Page(PageMessage::Failed { request }), out);
        }
        self.repairs.asked.push(asked);
    }

    fn fail_repair(&mut self, page: &PageKey, out: &mut Outbox) {
        if let Some(repair) = self.repairs.pages.get_mut(page) {
            repair.stage = RepairStage::Failed;
            self.tell_repair(page, RepairStatus::Failed, out);
        }
    }

    fn tell_repair(&self, page: &PageKey, status: RepairStatus, out: &mut Outbox) {
        out.push(SessionOutput::PageRepair {
            page: page.clone(),
            status,
        });
    }

    /// Does what the repairs of both partners are waiting for, as far as it can be done now.
    pub(super) fn pursue_repairs(&mut self, log: &Log, out: &mut Outbox) {
        if self.stage != Stage::Running || self.pair != Pair::Established || self.is_stalled() {
            return;
        }
        if !self.repairs.asked.is_empty() {
            self.answer_page_requests(log, out);
        }
        if self.is_principal() {
            self.resume_for_repair(out);
        }
        if self.repairs.is_empty() || self.takeover.is_some() {
            return;
        }
        match self.is_principal() {
            true => self.repair_principal(log, out),
            false => self.repair_mirror(log, out),
        }
    }

    fn answer_page_requests(&mut self, log: &Log, out: &mut Outbox) {
        let redone = log.redone();
        let asked = std::mem::take(&mut self.repairs.asked);
        let (due, waiting) = asked.into_iter().partition(|asked| asked.at <= redone);
        self.repairs.asked = waiting;
        for Asked { request, page, at } in due {
            out.push(SessionOutput::ReadPage { request, page, at });
        }
    }

    fn repair_principal(&mut self, log: &Log, out: &mut Outbox) {
        self.restore_arrived(log, out);
        let flows = match self.record.safety {
            Safety::Full => self.is_synchronized(),
            Safety::Off => self.state == Some(MirroringState::Synchronizing),
        };
        if flows && !self.record.suspended {
            self.request_pages(log, out);
        }
    }

    fn repair_mirror(&mut self, log: &Log, out: &mut Outbox) {
        if !self.record.suspended {
            self.restore_arrived(log, out);
            // A RESUME comes upon the page again, however often it could not be had.
            let missing = |stage: &RepairStage| matches!(stage, RepairStage::Found | RepairStage::Failed);
            let missing = self.repairs.pages_in(missing);
            if !missing.is_empty() {
                let unreadable = missing.iter().all(|page| self.repairs.unreadable.contains(page));
                for page in missing {
                    self.repairs.pages.insert(page, Repair::FOUND);
                }
                self.suspend_for_error(if unreadable { SECTOR_ERROR } else { PAGE_ERROR }, out);
            }
            return;
        }
        if !self.may_be_resumed_for_repair() {
            return;
        }
        self.request_pages(log, out);
        let here = |stage: &RepairStage| matches!(stage, RepairStage::Arrived(_) | RepairStage::Restoring);
        let all_here = self.repairs.pages.values().all(|repair| here(&repair.stage));
        if all_here && self.repairs.all_here.is_none() {
            let suspend_sequence = self.record.suspend_sequence;
            self.repairs.all_here = Some(suspend_sequence);
            self.to_partner(Body::Page(PageMessage::AllHere { suspend_sequence }), out);
        }
    }

    /// Mirror: suspends the session for an error of its own.
    pub(super) fn suspend_for_error(&mut self, error: MirrorError, out: &mut Outbox) {
        let MirrorError {
            number,
            state,
            severity,
        } = error;
        let (name, database) = (&self.identity.name, &self.record.database);
        out.log(msg::MIRROR_ERROR.with(&[name, &number, &state, &severity, database]));
        let mut record = self.record.clone();
        record.suspend(true);
        self.repairs.suspension = Some((record.suspend_sequence, error));
        self.repairs.all_here = None;
        self.persist(record, Then::Suspended { by_mirror: false }, out);
    }

    /// Mirror: the error for which it made the present suspension, if it did, or will not end any.
    pub(super) fn own_error(&self) -> Option<MirrorError> {
        if self.record.suspended && self.repairs.redo_failed && !self.is_principal() {
            return Some(REDO_ERROR);
        }
        let (sequence, error) = self.repairs.suspension?;
        (self.record.suspended && sequence == self.record.suspend_sequence).then_some(error)
    }

    /// Principal: says, once, that the session is suspended for an error of the mirror.
    pub(super) fn note_mirror_error(&mut self, suspend_sequence: u32, error: &MirrorError, out: &mut Outbox) {
        if self.repairs.told_error.replace(suspend_sequence) != Some(suspend_sequence) {
            let (partner, database) = (&self.record.partner_name, &self.record.database);
            let (number, state, severity) = (&error.number, &error.state, &error.severity);
            out.log(msg::PARTNER_ERROR.with(&[partner, database, number, state, severity]));
        }
    }

    fn request_pages(&mut self, log: &Log, out: &mut Outbox) {
        for page in self.repairs.pages_in(|stage| matches!(stage, RepairStage::Found)) {
            self.repairs.last_request += 1;
            let (request, at) = (self.repairs.last_request, log.hardened());
            if let Some(repair) = self.repairs.pages.get_mut(&page) {
                repair.attempts += 1;
                repair.stage = RepairStage::Requested { request };
            }
            self.tell_repair(&page, RepairStatus::Requested, out);
            let database = self.record.database.clone();
            let asked = page.clone();
            out.emit(SessionEvent::PageRequested {
                database,
                page: asked,
                request,
                at,
            });
            self.to_partner(Body::Page(PageMessage::Request { request, page, at }), out);
        }
    }

    /// Puts the pages in place that redo has caught up with.
    fn restore_arrived(&mut self, log: &Log, out: &mut Outbox) {
        let redone = log.redone();
        for (page, repair) in &mut self.repairs.pages {
            if matches!(&repair.stage, RepairStage::Arrived((lsn, _)) if *lsn <= redone)
                && let RepairStage::Arrived(image) =
                    std::mem::replace(&mut repair.stage, RepairStage::Restoring)
            {
                let page = page.clone();
                out.push(SessionOutput::RestorePage { page, image });
            }
        }
    }

    /// Principal: the mirror has its pages. Its own suspension ends, as by RESUME; any other does not.
    fn resume_for_repair(&mut self, out: &mut Outbox) {
        let Some(sequence) = self.repairs.all_here else {
            return;
        };
        if self.command.is_some() {
            return;
        }
        self.repairs.all_here = None;
        if self.record.suspend_sequence == sequence && self.may_be_resumed_for_repair() {
            self.repairs.resuming = Some(sequence);
            let database = self.record.database.clone();
            let suspend_sequence = sequence;
            out.emit(SessionEvent::ResumedByRepair {
                database,
                suspend_sequence,
            });
            self.to_partner(Body::Resume, out);
        }
    }

    /// Whether the present suspension is being ended for a repair; asked once.
    pub(super) fn take_resuming(&mut self) -> bool {
        self.repairs.resuming.take() == Some(self.record.suspend_sequence)
    }

    /// Whether a repair may end the present suspension: to the mirror, if it made it for one; to the principal, if the
    /// mirror made it. Both may have made one under the same sequence at the same time, the principal at a SUSPEND.
    pub(super) fn may_be_resumed_for_repair(&self) -> bool {
        let by_mirror = match self.is_principal() {
            true => !self.record.suspended_here,
            false => self
                .own_error()
                .is_some_and(|error| [PAGE_ERROR, SECTOR_ERROR].contains(&error)),
        };
        self.record.suspended && by_mirror
    }
}
