//! A clock on a store that is held: it says so, and waits for what a person decides; nothing else of it begins before.

use super::{RunError, counts, holding_options, http_state, unless_stopped};
use crate::{
    clock,
    clock_loop::Handle,
    config::Config,
    copying::{Acceptance, Accepted, Holding},
    http::{self, HeldStore, HttpError},
    ops::{RecordReader, RunningClock},
    schedule::CalendarStore,
    store::{StoreError, failure},
};
use ponos::shutdown::{Shutdown, Stage, shutdown};
use std::{path::Path, sync::mpsc as blocking, thread};
use tokio::{
    net::TcpListener,
    sync::{mpsc, oneshot},
    time::timeout,
};
use tracing::{info, warn};

/// Waits until the store in this folder is held no more; `None` if the clock is asked to stop before.
pub(super) async fn until_accepted(
    config: &Config,
    folder: &Path,
    tls: Option<http::Tls>,
    listener: Option<TcpListener>,
    shutdown: &Shutdown,
) -> Result<Option<Option<TcpListener>>, RunError> {
    let Some((why, stores)) = open(config, folder).await.map_err(RunError::Store)? else {
        return Ok(Some(listener));
    };
    warn!("{why}");
    let (ours, listener) = twice(listener).map_err(|error| RunError::Http(HttpError::Start(error)))?;
    let control = http::bind_control(folder).map_err(RunError::Http)?;
    let limits = http::Limits::for_this_process();
    let clock = at_rest(config, limits);
    let state = http_state(config, &config.owners(), clock, limits, tls);
    let (decisions, mut decided) = mpsc::channel(1);
    let held = HeldStore { why: why.into(), decisions };
    let (ending, ends) = shutdown_of(shutdown);
    let serving = http::start_held(ours, control, state, held, ends).map_err(RunError::Http)?;
    let accepted = loop {
        let Some(Some((what, reply))) = unless_stopped(shutdown, decided.recv()).await else { break false };
        match stores.ask(what).await {
            Ok(accepted) => {
                info!(?accepted, "the store is held no more");
                drop(reply.send(Ok(accepted)));
                break true;
            }
            Err(error) => {
                warn!(%error, "what was decided about the store that is held was not done to its end");
                drop(reply.send(Err(error.to_string())));
            }
        }
    };
    drop(stores);
    ending.advance();
    drop(timeout(super::FAREWELL, serving.ended()).await);
    Ok(accepted.then_some(listener))
}

/// The stores' calls block: they have a thread of their own, which ends when nobody asks any more.
struct Stores(blocking::Sender<Asked>);

/// What is asked of a clock that does nothing yet: nothing but how it is.
fn at_rest(config: &Config, limits: http::Limits) -> RunningClock {
    let record = RecordReader::new(|_, _| async {
        Err(StoreError::Io { path: "(held)".into(), what: "the store of this clock is held".into() })
    });
    let handle = Handle::at_rest(config.clock.name.clone());
    RunningClock::new(handle, record, CalendarStore::default(), counts(config), limits.answer)
}

type Asked = (Acceptance, oneshot::Sender<Result<Accepted, StoreError>>);

impl Stores {
    async fn ask(&self, what: Acceptance) -> Result<Accepted, StoreError> {
        let (reply, answer) = oneshot::channel();
        let ended = || failure("its thread ended");
        self.0.send((what, reply)).map_err(|_| ended())?;
        answer.await.unwrap_or_else(|_| Err(ended()))
    }
}

/// Opens the stores if they are held, and says why.
async fn open(config: &Config, folder: &Path) -> Result<Option<(String, Stores)>, StoreError> {
    let (asks, asked) = blocking::channel::<Asked>();
    let (opened_in, opened) = oneshot::channel();
    let (folder, clock, options) = (folder.to_owned(), config.clock.name.clone(), holding_options(config));
    let work = move || match Holding::open(&folder, &clock, options) {
        Ok(Some(mut holding)) => {
            drop(opened_in.send(Ok(Some(holding.why()))));
            while let Ok((what, reply)) = asked.recv() {
                let accepted = holding.accept(what, clock::now());
                let is_over = accepted.is_ok();
                // The next opening is soon: whoever is answered finds them closed.
                if is_over {
                    drop(holding);
                    drop(reply.send(accepted));
                    return;
                }
                drop(reply.send(accepted));
            }
        }
        other => drop(opened_in.send(other.map(|_| None))),
    };
    let thread = thread::Builder::new().name("held".into()).spawn(work);
    thread.map_err(|error| failure(&format!("its thread could not be started: {error}")))?;
    let why = opened.await.unwrap_or_else(|_| Err(failure("its thread ended while opening it")))?;
    Ok(why.map(|why| (why, Stores(asks))))
}

/// The same socket, to be listened on now, and later.
fn twice(listener: Option<TcpListener>) -> std::io::Result<(Option<TcpListener>, Option<TcpListener>)> {
    let Some(listener) = listener else { return Ok((None, None)) };
    let listener = listener.into_std()?;
    let again = listener.try_clone()?;
    Ok((Some(TcpListener::from_std(listener)?), Some(TcpListener::from_std(again)?)))
}

/// One that ends with another one, or before.
fn shutdown_of(outer: &Shutdown) -> (ponos::shutdown::Trigger, Shutdown) {
    let (ending, ends) = shutdown();
    let (outer, trigger) = (outer.clone(), ending.clone());
    tokio::spawn(async move {
        outer.reached(Stage::Draining).await;
        trigger.advance();
    });
    (ending, ends)
}
