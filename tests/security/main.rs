//! Who is let in and who is not, as real connections between instances in the world: what no single scenario can say.
//!
//! `cells` holds the negotiation tables against their live twin, `checklist` the nine conditions of a certificate login,
//! `admission` whom permissions let in, `roles` what ROLE allows, `altered` what both logs say when an endpoint in use is
//! altered, `symptoms` what other faults show on either side, `audit` how the trace classes them; `matrix` sees that no row
//! of `docs/symptoms.md` is without its proof.

mod admission;
mod altered;
mod audit;
mod cells;
mod checklist;
mod matrix;
mod rig;
mod roles;
mod symptoms;
