//! One address in front of servers, as a load balancer or a name has it: where it leads can be changed, and what goes through it
//! can be cut, half closed, dropped or delayed, or stand still.

use std::{
    io::{Read as _, Write as _},
    net::{Shutdown, TcpListener, TcpStream},
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

/// Ends with the test's process.
pub(crate) struct Balancer {
    port: u16,
    shared: Arc<Shared>,
}

struct Shared {
    state: Mutex<State>,
    goes_on: Condvar,
}

struct State {
    server: u16,
    stands_still: bool,
    /// By so many milliseconds whatever comes is delayed.
    delay: u64,
    open: Vec<Open>,
}

/// A connection.
struct Open {
    client: TcpStream,
    server: TcpStream,
    /// What comes by it goes nowhere.
    is_deaf: Arc<AtomicBool>,
}

impl Balancer {
    pub(crate) fn to(server: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = State { server, stands_still: false, delay: 0, open: Vec::new() };
        let shared = Arc::new(Shared { state: Mutex::new(state), goes_on: Condvar::new() });
        let accepting = shared.clone();
        thread::spawn(move || {
            for client in listener.incoming() {
                let Ok(client) = client else { return };
                let server = accepting.lock().server;
                // Where nobody listens, the client hears of it by the end of its connection.
                if let Ok(server) = TcpStream::connect(("127.0.0.1", server)) {
                    accepting.relay(client, server);
                }
            }
        });
        Self { port, shared }
    }

    /// The URL of a database, by this address.
    pub(crate) fn url(&self, url: &str) -> String {
        let (before, rest) = url.rsplit_once(':').unwrap();
        format!("{before}:{}/{}", self.port, rest.split_once('/').unwrap().1)
    }

    /// Leads to another server from now on; what is open is cut.
    pub(crate) fn moves_to(&self, server: u16) {
        self.shared.lock().server = server;
        self.cut();
    }

    /// Ends all connections.
    pub(crate) fn cut(&self) {
        for Open { client, server, .. } in self.shared.lock().open.drain(..) {
            let _ = (client.shutdown(Shutdown::Both), server.shutdown(Shutdown::Both)); // it may have ended
        }
    }

    /// Ends what goes to the server, or what comes from it, on all connections; the other direction stays.
    pub(crate) fn half_close(&self, to_server: bool) {
        for Open { client, server, .. } in &self.shared.lock().open {
            let _ = if to_server { server } else { client }.shutdown(Shutdown::Write); // it may have ended
        }
    }

    /// From now on what comes by the connections that are open goes nowhere, and they stay.
    pub(crate) fn drop_what_comes(&self) {
        for open in self.shared.lock().open.drain(..) {
            open.is_deaf.store(true, Ordering::SeqCst);
        }
    }

    /// While this runs, whatever comes is delayed by so many milliseconds.
    pub(crate) fn while_all_is_delayed(&self, millis: u64, act: impl FnOnce()) {
        self.shared.lock().delay = millis;
        act();
        self.shared.lock().delay = 0;
    }

    /// Nothing goes through while this runs, and all connections stay.
    pub(crate) fn while_nothing_goes_through(&self, act: impl FnOnce()) {
        self.shared.lock().stands_still = true;
        act();
        self.shared.lock().stands_still = false;
        self.shared.goes_on.notify_all();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn relay(self: &Arc<Self>, client: TcpStream, server: TcpStream) {
        let both = |stream: &TcpStream| [stream.try_clone().unwrap(), stream.try_clone().unwrap()];
        let ([from_client, to_client], [from_server, to_server]) = (both(&client), both(&server));
        let is_deaf = Arc::new(AtomicBool::new(false));
        self.lock().open.push(Open { client, server, is_deaf: is_deaf.clone() });
        for (from, to) in [(from_client, to_server), (from_server, to_client)] {
            let (shared, is_deaf) = (self.clone(), is_deaf.clone());
            thread::spawn(move || shared.copy(from, to, &is_deaf));
        }
    }

    fn copy(&self, mut from: TcpStream, mut to: TcpStream, is_deaf: &Arc<AtomicBool>) {
        let mut bytes = vec![0; 65_536];
        while let Ok(count @ 1..) = from.read(&mut bytes) {
            let stands = self.goes_on.wait_while(self.lock(), |state| state.stands_still);
            let delay = stands.unwrap_or_else(PoisonError::into_inner).delay;
            if delay > 0 {
                thread::sleep(Duration::from_millis(delay));
            }
            if is_deaf.load(Ordering::SeqCst) {
                continue;
            }
            if to.write_all(&bytes[..count]).is_err() {
                break;
            }
        }
        let _ = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
        // Else there were more and more open files.
        self.lock().open.retain(|open| !Arc::ptr_eq(&open.is_deaf, is_deaf));
    }
}
