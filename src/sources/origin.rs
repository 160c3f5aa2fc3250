//! Which schedules a source stands for just now. The usual folder may be missing because it was never there, or because
//! a mount was lost: what the store knows tells the two apart.

use super::{STANDARD, Schedules};
use crate::{
    config::ScheduleSource,
    diagnostic::{Diagnostic, Diagnostics, Text},
    schedule::Packed,
};
use ponos::{files::FileReader, redact::redact, terminal::line};
use std::{fmt, path::Path};

/// All texts that were ever built in. When [`STANDARD`] changes, keep its former text here: a store that knows nothing else
/// never saw a folder.
const BUILT_IN: [&str; 1] = [STANDARD];

impl ScheduleSource {
    /// What is to be read now; `had_folder`: the clock has run schedules of a folder.
    ///
    /// # Errors
    /// The usual folder is gone, or nobody can say.
    pub fn now(&self, had_folder: bool) -> Result<Self, Diagnostics> {
        let Self::Unset(folder) = self else { return Ok(self.clone()) };
        let place = folder.clone();
        // A file system that does not answer is no missing folder.
        let is_there = FileReader::default().within_patience(folder, move || place.is_dir());
        match is_there {
            Ok(true) => Ok(Self::Folder(folder.clone())),
            Ok(false) if had_folder => {
                let what =
                    "there is no folder of schedules here, but this clock has run the schedules of one";
                let help = "restore the folder (was a mount lost?), or set schedules.folder to a folder, \
                            \"built-in\" or \"none\"";
                Err(Diagnostic::error(what).in_file(&folder.display().to_string()).help(help).into())
            }
            Ok(false) => Ok(self.clone()),
            Err(error) => {
                let what = format!("can't look for the folder of schedules: {error}");
                let help = "check whether its mount responds";
                Err(Diagnostic::error(what).in_file(&folder.display().to_string()).help(help).into())
            }
        }
    }
}

impl fmt::Display for ScheduleSource {
    /// To stand behind "schedules": `of the folder schedules`, `built in`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder(folder) => write!(f, "of the folder {}", shown(folder)),
            Self::Unset(folder) => write!(f, "built in, since there is no folder {}", shown(folder)),
            Self::Embedded => f.write_str("built in"),
            Self::None => f.write_str("from no folder, since schedules.folder = \"none\""),
        }
    }
}

/// A path as a terminal may get it: somebody may have put a URL there.
fn shown(path: &Path) -> String {
    redact(&line(&path.display().to_string())).into_owned()
}

/// Whether these, which a store holds, are those of a folder: at least one of them was never built in.
pub fn are_of_a_folder<'a>(stored: impl IntoIterator<Item = &'a Packed>) -> bool {
    let built_in: Vec<Packed> = BUILT_IN.iter().flat_map(|text| packed(text)).collect();
    // What was created at run time comes from no folder.
    let mut of_files = stored.into_iter().filter(|one| !one.is_created());
    of_files.any(|one| !built_in.iter().any(|known| known.means_the_same(one)))
}

fn packed(text: &str) -> Vec<Packed> {
    let mut schedules = Schedules::<Packed>::default();
    schedules.add(&Text::new("<built-in>", text), super::Bounds::default());
    schedules.list
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_never_built_in_comes_from_a_folder() {
        let standard = packed(STANDARD);
        assert!(standard.len() > 10 && !are_of_a_folder(&standard) && !are_of_a_folder(&standard[3..5]));
        assert!(!are_of_a_folder([]));
        let other = packed("[[schedule]]\nname = \"one-day\"\nevery = \"1 day\"\nphase = \"09:00\"\n");
        assert!(are_of_a_folder(standard.iter().chain(&other)));
    }
}
