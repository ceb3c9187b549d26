//! One connection from first byte to online, pure.
//!
//! Read [`config`] (what an endpoint is), [`negotiate`] (what two of them agree on), [`login`] (how they prove it), then
//! [`connection`], which composes them with frames, deadlines and pings. Knows no databases and no sessions.
//!
//! ```text
//! initiator                                     acceptor
//!   INITIAL                                       INITIAL
//!      | -- preamble, login negotiate (offer) --->   | WAIT LOGIN NEGOTIATE
//!   WAIT LOGIN NEGOTIATE                             |   agreed, or closed without a word
//!      | <-- preamble, login negotiate answer ----   | ONE ASC
//!   ONE ISC (TWO ISC after a reject)                 |   (TWO ASC after a reject)
//!      | -- security context -------------------->   |
//!      | <-- security context --------------------   | WAIT ISC Confirm
//!      | -- security context, validation -------->   | WAIT VALIDATION
//!   WAIT VALIDATION                                  |   authorised, or closed without a word
//!      | <-- accepted ----------------------------   | WAIT ARBITRATION
//!   WAIT ARBITRATION
//!      | <== arbitration request, response ======>   |   (sealed from here on, if encryption was agreed)
//!   ONLINE                                        ONLINE
//! ```
//!
//! *Validation* and *accepted* carry a value only the two ends of this very exchange can compute, over a digest of the
//! offers and rejects as each side saw them: a downgraded offer ends here, encrypted or not. With encryption off the
//! login is authenticated and the traffic after it is not protected; whoever can write into the stream can write
//! messages. That is what ENCRYPTION = DISABLED asks for.
//!
//! Where the acceptor may have to ask its domain controller, or has another method left, the initiator does not go on to
//! validation by itself: it is in WAIT ASC Confirm until *confirm* arrives. A side that cannot authenticate by a method of
//! which there is a next one says *reject*; the initiator then is in WAIT REJECT until the acceptor has said so as well.
//! A side whose domain controller is being asked stays in ONE (TWO) ISC or ASC.
//!
//! State WAIT PRE-MASTER SECRET is documented and not entered: the exchanges above key themselves. Source: state names
//! documented, transitions ours.

pub mod auth;
pub mod config;
pub mod connection;
pub mod error;
pub mod local;
pub mod login;
pub mod negotiate;
