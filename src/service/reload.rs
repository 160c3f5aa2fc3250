//! Schedules that are read while the loop turns: elsewhere, for folders may be slow.

use super::Service;
use crate::{engine::Input, schedule::Packed};
use tokio::sync::oneshot;
use tracing::{error, info};

/// Schedules that were read anew, and who wants to know.
pub(super) struct Loaded(Result<Vec<Packed>, String>, Option<oneshot::Sender<Result<String, String>>>);

impl Service {
    /// Has those taken in that were not read yet at the start, once they are.
    pub(super) fn await_late(&mut self) {
        if let Some(late) = self.late.take() {
            let loaded = self.loaded.0.clone();
            // The loop is gone: nobody needs them any more.
            tokio::spawn(async move { drop(loaded.send(Loaded(late.await, None)).await) });
        }
    }

    /// Reads the schedules on a thread of their own.
    pub(super) fn read_schedules(&self, wants_to_know: Option<oneshot::Sender<Result<String, String>>>) {
        let (loader, loaded) = (self.loader.clone(), self.loaded.0.clone());
        tokio::task::spawn_blocking(move || {
            // The loop is gone: nobody needs them any more.
            drop(loaded.blocking_send(Loaded(loader(), wants_to_know)));
        });
    }

    pub(super) fn on_loaded(&mut self, Loaded(result, wants_to_know): Loaded) {
        let said = match result {
            Ok(accepted) => {
                let said = match accepted.len() {
                    1 => "1 schedule is in effect".to_owned(),
                    count => format!("{count} schedules are in effect"),
                };
                info!("the schedules were read: {said}");
                self.degraded = None;
                self.step(Input::Load(accepted));
                Ok(said)
            }
            Err(why) => {
                error!("the schedules were read and refused; the last accepted ones stay in effect\n{why}");
                self.degraded = Some(why.clone());
                Err(why)
            }
        };
        self.show_status();
        if let Some(reply) = wants_to_know {
            drop(reply.send(said));
        }
    }
}
