//! One question to the domain controller: connect, send it in a frame, read the frame of the answer, close.
//!
//! The whole exchange has one deadline, so that silence anywhere ends it.

use std::io;

use crate::domain::{FrameReader, encode_frame};
use crate::driver::clock::Clock;
use crate::driver::net::{Net, NetRead, NetStream, NetWrite};
use crate::instance::io::{CONTROLLER_DEADLINE, ControllerError};
use crate::types::ServerAddress;

const READ_BYTES: usize = 4 << 10;

/// The answer to `request`.
///
/// # Errors
/// Why there is none.
pub(super) async fn ask<N: Net, C: Clock>(
    net: &N,
    clock: &C,
    controller: &ServerAddress,
    request: &[u8],
) -> Result<Vec<u8>, ControllerError> {
    let deadline = clock.now().at + CONTROLLER_DEADLINE;
    tokio::select! {
        biased;
        answer = exchange(net, controller, request) => answer,
        () = clock.sleep_until(deadline) => Err(ControllerError::TimedOut(CONTROLLER_DEADLINE.as_secs())),
    }
}

async fn exchange<N: Net>(
    net: &N,
    controller: &ServerAddress,
    request: &[u8],
) -> Result<Vec<u8>, ControllerError> {
    let stream = net.connect(controller).await.map_err(ControllerError::Connect)?;
    let (mut read, mut write) = stream.into_split();
    let broken = |error: io::Error| ControllerError::Broken(error.kind().to_string());
    write.write_all(&encode_frame(request)).await.map_err(broken)?;
    let mut frames = FrameReader::default();
    let mut buffer = vec![0; READ_BYTES];
    loop {
        match read.read(&mut buffer).await.map_err(broken)? {
            0 => return Err(ControllerError::Broken("end of the stream".to_owned())),
            n => frames.push(&buffer[..n]),
        }
        let whole = frames.next();
        if let Some(answer) = whole.map_err(|error| ControllerError::Broken(error.to_string()))? {
            drop(write.shutdown().await);
            return Ok(answer);
        }
    }
}
