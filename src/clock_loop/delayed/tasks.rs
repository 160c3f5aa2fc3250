//! The exchange of tasks: it is not the clock's, and may be missing, or be none that the clock may declare. So it is declared by
//! itself, before the first delayed task goes out, and where that fails nothing else is held up.

use crate::delayed::DueEvent;
use std::{fmt, pin::Pin, sync::Arc};
use tokio::{sync::mpsc, task::JoinHandle};

/// Declares the exchange, on a connection of its own; the error is for people.
#[derive(Clone)]
pub struct DeclareTasks(pub Arc<dyn Fn() -> Declaring + Send + Sync>);

/// It is being declared.
type Declaring = Pin<Box<dyn Future<Output = Declared> + Send>>;
/// How that ended.
type Declared = Result<(), String>;

impl fmt::Debug for DeclareTasks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DeclareTasks")
    }
}

/// Whether it is there, and who waits for it.
pub(super) struct Tasks {
    declare: DeclareTasks,
    state: State,
    waiting: Vec<(u64, DueEvent)>,
    told: (mpsc::Sender<Declared>, mpsc::Receiver<Declared>),
}

enum State {
    Unknown,
    Declaring(JoinHandle<()>),
    There,
}

impl Tasks {
    pub(super) fn new(declare: DeclareTasks) -> Self {
        Self { declare, state: State::Unknown, waiting: Vec::new(), told: mpsc::channel(1) }
    }

    /// Whether this one has to wait until the exchange is declared. It is, then.
    pub(super) fn keeps(&mut self, token: u64, due: &DueEvent) -> bool {
        match &self.state {
            State::There => return false,
            State::Declaring(_) => {}
            State::Unknown => {
                let (declaring, told) = ((self.declare.0)(), self.told.0.clone());
                let declaring = tokio::spawn(async move {
                    // Nobody waits for it while the clock ends.
                    let _ = told.send(declaring.await).await;
                });
                self.state = State::Declaring(declaring);
            }
        }
        self.waiting.push((token, due.clone()));
        true
    }

    /// Whether it could be declared.
    pub(super) async fn declared(&mut self) -> Declared {
        let declared = self.told.1.recv().await.unwrap_or_else(|| Err("the clock ends".into()));
        self.state = if declared.is_ok() { State::There } else { State::Unknown };
        declared
    }

    /// Those that wait.
    pub(super) fn take(&mut self) -> Vec<(u64, DueEvent)> {
        std::mem::take(&mut self.waiting)
    }

    /// It was not there.
    pub(super) fn is_missing(&mut self) {
        if matches!(self.state, State::There) {
            self.state = State::Unknown;
        }
    }
}

impl Drop for Tasks {
    fn drop(&mut self) {
        if let State::Declaring(declaring) = &self.state {
            declaring.abort();
        }
    }
}
