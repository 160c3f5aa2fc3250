//! Stands between a store and its server, and cuts connections where they commit.

use std::{
    collections::VecDeque,
    io::{Read as _, Write as _},
    net::{Shutdown, TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
};

/// What becomes of a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cut {
    /// The server never hears of it.
    Before,
    /// It commits, and nobody hears of that.
    After,
    /// The server never hears of it, nor that the client goes: the connection stays.
    Silence,
}

/// A port that leads to a server.
pub(crate) struct Proxy {
    port: u16,
    plan: Arc<Mutex<VecDeque<Cut>>>,
}

impl Proxy {
    pub(crate) fn to(server: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let plan: Arc<Mutex<VecDeque<Cut>>> = Arc::default();
        let cuts = plan.clone();
        // It ends with the test's process.
        thread::spawn(move || {
            for client in listener.incoming() {
                let Ok(client) = client else { return };
                let Ok(server) = TcpStream::connect(("127.0.0.1", server)) else { continue };
                relay(client, server, &cuts);
            }
        });
        Self { port, plan }
    }

    pub(crate) fn url(&self, url: &str) -> String {
        let (before, rest) = url.rsplit_once(':').unwrap();
        format!("{before}:{}/{}", self.port, rest.split_once('/').unwrap().1)
    }

    /// This is what becomes of one of the next commits of writers, behind what was said before.
    pub(crate) fn plan(&self, cut: Cut) {
        self.plan.lock().unwrap().push_back(cut);
    }

    /// Those that did not come to pass yet.
    pub(crate) fn planned(&self) -> usize {
        self.plan.lock().unwrap().len()
    }
}

fn relay(client: TcpStream, server: TcpStream, plan: &Arc<Mutex<VecDeque<Cut>>>) {
    let (mut from_client, mut to_server) = (client.try_clone().unwrap(), server.try_clone().unwrap());
    let (mut from_server, mut to_client) = (server, client);
    let is_deaf = Arc::new(Mutex::new(false));
    let deaf = is_deaf.clone();
    thread::spawn(move || {
        let mut bytes = vec![0; 65_536];
        while let Ok(count @ 1..) = from_server.read(&mut bytes) {
            // What is dropped is the answer to the commit: it is done.
            if *deaf.lock().unwrap() || to_client.write_all(&bytes[..count]).is_err() {
                break;
            }
        }
        let _ = to_client.shutdown(Shutdown::Both);
        let _ = from_server.shutdown(Shutdown::Both);
    });
    let plan = plan.clone();
    thread::spawn(move || {
        let mut bytes = vec![0; 65_536];
        let mut reads = false;
        while let Ok(count @ 1..) = from_client.read(&mut bytes) {
            let said = &bytes[..count];
            if has(said, b"read only;") {
                reads = true;
            } else if has(said, b"begin") {
                reads = false;
            }
            let cut = match has(said, b"Q\0\0\0\x0bcommit\0") && !reads {
                true => plan.lock().unwrap().pop_front(),
                false => None,
            };
            match cut {
                Some(Cut::Before) => break,
                Some(Cut::Silence) => {
                    *is_deaf.lock().unwrap() = true;
                    continue;
                }
                Some(Cut::After) => *is_deaf.lock().unwrap() = true,
                None => {}
            }
            if to_server.write_all(said).is_err() {
                break;
            }
        }
        if !*is_deaf.lock().unwrap() {
            let _ = from_client.shutdown(Shutdown::Both);
            let _ = to_server.shutdown(Shutdown::Both);
        }
    });
}

fn has(said: &[u8], words: &[u8]) -> bool {
    said.windows(words.len()).any(|part| part == words)
}
