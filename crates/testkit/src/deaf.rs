//! A port that swallows what is sent to it, as a machine does that lost its power.

use std::{
    net::{SocketAddr, TcpListener, TcpStream},
    time::Duration,
};

/// More connections than any kernel keeps for one who said that it wants to keep none.
const MOST: usize = 64;
/// So many in a row that come to nothing: a single one may have been slow.
const IN_VAIN: usize = 3;

/// A port of 127.0.0.1 to which no connection can be made, nor is one refused: the packets that ask for it are dropped.
#[derive(Debug)]
pub struct DeafPort {
    listener: TcpListener,
    _kept: Vec<TcpStream>,
}

impl DeafPort {
    /// Opens a port and fills the queue of those who wait to be accepted.
    ///
    /// # Panics
    /// When the kernel goes on to take connections.
    pub fn open() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        rustix::net::listen(&listener, 0).unwrap();
        let address = listener.local_addr().unwrap();
        let (mut kept, mut in_vain) = (Vec::new(), 0);
        while in_vain < IN_VAIN {
            match TcpStream::connect_timeout(&address, Duration::from_millis(300)) {
                Ok(stream) => {
                    kept.push(stream);
                    in_vain = 0;
                }
                Err(_) => in_vain += 1,
            }
            assert!(kept.len() < MOST, "{address} still takes connections");
        }
        Self { listener, _kept: kept }
    }

    /// Where it is.
    pub fn address(&self) -> SocketAddr {
        self.listener.local_addr().unwrap()
    }
}
