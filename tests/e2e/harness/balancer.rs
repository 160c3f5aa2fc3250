//! One address in front of servers, as a load balancer or a name has it: where it leads can be changed, and what goes through it
//! can be cut, or stand still.

use std::{
    io::{Read as _, Write as _},
    net::{Shutdown, TcpListener, TcpStream},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
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
    open: Vec<TcpStream>,
}

impl Balancer {
    pub(crate) fn to(server: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = State { server, stands_still: false, open: Vec::new() };
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
        for stream in self.shared.lock().open.drain(..) {
            let _ = stream.shutdown(Shutdown::Both); // it may have ended
        }
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
        self.lock().open.extend([client, server]);
        for (from, to) in [(from_client, to_server), (from_server, to_client)] {
            let shared = self.clone();
            thread::spawn(move || shared.copy(from, to));
        }
    }

    fn copy(&self, mut from: TcpStream, mut to: TcpStream) {
        let mut bytes = vec![0; 65_536];
        while let Ok(count @ 1..) = from.read(&mut bytes) {
            let stands = self.goes_on.wait_while(self.lock(), |state| state.stands_still);
            drop(stands);
            if to.write_all(&bytes[..count]).is_err() {
                break;
            }
        }
        let _ = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
    }
}
