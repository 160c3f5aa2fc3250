//! Schedules that are read while the loop turns: elsewhere, for folders may be slow.

use super::Service;
use crate::{engine::Input, schedule::Packed};
use tokio::sync::oneshot;
use tracing::{error, info};

/// Characters of what is wrong with the files that are shown with every status.
const SHOWN: usize = 4_000;

/// What is wrong, as far as somebody reads who asks how the clock is.
pub(super) fn in_brief(why: &str) -> String {
    match why.char_indices().nth(SHOWN) {
        None => why.to_owned(),
        Some((end, _)) => {
            let shown = &why[..end];
            let whole = shown.rfind('\n').map_or(shown, |end| &shown[..end]);
            format!("{whole}\n… (khronos check shows more)")
        }
    }
}

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
            let mut result = loader();
            if let Ok(all) = &mut result {
                // The engine wants them in the order of names: so it need not sort them while the loop waits.
                all.sort_by(|a, b| a.name_bytes().cmp(b.name_bytes()));
            }
            // The loop is gone: nobody needs them any more.
            drop(loaded.blocking_send(Loaded(result, wants_to_know)));
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
                self.degraded = Some(in_brief(&why));
                Err(why)
            }
        };
        self.show_status();
        if let Some(reply) = wants_to_know {
            drop(reply.send(said));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{SHOWN, in_brief};

    #[test]
    fn of_much_that_is_wrong_whole_lines_are_shown_and_that_there_is_more() {
        assert_eq!(in_brief("one\ntwo"), "one\ntwo");
        let brief = in_brief(&"é is no key\n".repeat(SHOWN));
        assert!(brief.chars().count() < SHOWN + 50 && brief.ends_with("\n… (khronos check shows more)"));
        assert!(brief.lines().rev().skip(1).all(|line| line == "é is no key"), "{brief}");
        assert!(in_brief(&"é".repeat(SHOWN + 1)).starts_with(&"é".repeat(SHOWN)));
    }
}
