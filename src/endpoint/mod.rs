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
//! States WAIT ASC Confirm, WAIT REJECT and WAIT PRE-MASTER SECRET are documented and not entered: the certificate
//! exchange confirms and keys in the messages above. Source: state names documented, transitions ours.

pub mod auth;
pub mod config;
pub mod connection;
pub mod error;
pub mod local;
pub mod login;
pub mod negotiate;
