//! The folder of time zone data: a TZif file for each zone, as the IANA database is installed (`/usr/share/zoneinfo`).
//! All of it is read at once, so that it is of one moment; what a file means is understood when a schedule names its zone.

use crate::{
    diagnostic::{Diagnostic, Diagnostics},
    schedule::ZoneData,
};
use ponos::files::{FileReader, ReadError};
use std::{
    fs::{self, File},
    io::{self, Read},
    path::{Path, PathBuf},
};

/// Zones in the folder: the database has some 600.
const ZONES: usize = 2_000;
/// Bytes of one of them: the largest has some 3,500.
const BYTES: u64 = 64 << 10;
/// Folders within folders: `America/Argentina/Buenos_Aires`.
const DEEPEST: usize = 3;
/// The same zones otherwise: with leap seconds, and once more without.
const OTHER_FORMS: [&str; 2] = ["posix", "right"];
/// Bytes of a text that says the release.
const TEXT: u64 = 1 << 20;

/// Reads the configured folder, or takes the bundled copy.
///
/// # Errors
/// Why the folder can't be used; the warnings about single files stand in the diagnostics of what can be.
pub fn read(folder: Option<&Path>) -> Result<(ZoneData, Diagnostics), Diagnostics> {
    let mut warnings = Diagnostics::default();
    let Some(folder) = folder else { return Ok((ZoneData::bundled(), warnings)) };
    let shown = folder.display().to_string();
    let refused = |what: String| -> Diagnostics {
        let help = "name a folder of TZif files such as /usr/share/zoneinfo with clock.time_zones, or leave it out for \
                    the bundled data";
        Diagnostic::error(what).in_file(&shown).help(help).into()
    };
    let mut reader = FileReader::default();
    let place = folder.to_owned();
    let found = reader.within_patience(folder, move || listed(&place));
    let found = found.and_then(|found| Ok(found?));
    let found = found.map_err(|error| refused(format!("the folder of time zones can't be read: {error}")))?;
    if found.is_empty() {
        return Err(refused("there is no time zone (TZif file) in this folder".into()));
    }
    let mut zones = Vec::with_capacity(found.len());
    for (name, file) in found {
        match reader.read(&file, BYTES) {
            Ok(tzif) => zones.push((name, tzif)),
            Err(error) if error.hangs() => {
                return Err(refused(format!("the time zone '{name}' can't be read: {error}")));
            }
            Err(error) => {
                let what = format!("the time zone '{name}' can't be read: {error}");
                warnings.push(Diagnostic::error(what).in_file(&file.display().to_string()).warning());
            }
        }
    }
    let release = release(&mut reader, folder);
    Ok((ZoneData::of_folder(&shown, release, zones), warnings))
}

/// The TZif files of the folder by the names of their zones. Links are followed where they lead within it.
fn listed(folder: &Path) -> io::Result<Vec<(String, PathBuf)>> {
    let root = folder.canonicalize()?;
    let mut folders = vec![(String::new(), root.clone(), 0)];
    let mut found = Vec::new();
    while let Some((prefix, folder, depth)) = folders.pop() {
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let Some(name) =
                entry.file_name().to_str().filter(|name| is_part_of_a_name(name)).map(str::to_owned)
            else {
                continue;
            };
            if depth == 0 && OTHER_FORMS.contains(&name.as_str()) {
                continue;
            }
            // A link that leads nowhere, or out of the folder (`localtime`), is no zone.
            let Some(path) = entry.path().canonicalize().ok().filter(|path| path.starts_with(&root)) else {
                continue;
            };
            let name = format!("{prefix}{name}");
            if path.is_dir() {
                if depth + 1 < DEEPEST {
                    folders.push((format!("{name}/"), path, depth + 1));
                }
            } else if is_tzif(&path) {
                if found.len() == ZONES {
                    return Err(io::Error::other(format!("it has more than {ZONES} zones")));
                }
                found.push((name, path));
            }
        }
    }
    Ok(found)
}

fn is_part_of_a_name(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'+');
    !text.is_empty() && text.bytes().all(allowed)
}

/// Whether it begins as one. What can't be opened is said when it is read.
fn is_tzif(path: &Path) -> bool {
    if !path.is_file() {
        return false;
    }
    let mut begin = [0; 4];
    match File::open(path).and_then(|mut file| file.read_exact(&mut begin)) {
        Ok(()) => begin == *b"TZif",
        Err(error) => error.kind() == io::ErrorKind::PermissionDenied,
    }
}

/// The release of the database that the folder says it is: `# version 2026f` in `tzdata.zi`, or `+VERSION`.
fn release(reader: &mut FileReader, folder: &Path) -> Option<String> {
    let mut text = |name: &str| -> Result<String, ReadError> { reader.read_text(&folder.join(name), TEXT) };
    let of_source = text("tzdata.zi").ok();
    let of_source = of_source.as_deref().and_then(|text| text.lines().next()?.strip_prefix("# version "));
    let release = of_source.map(str::to_owned).or_else(|| text("+VERSION").ok())?;
    let release = release.split_whitespace().next()?;
    let usual =
        release.len() <= 16 && release.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    usual.then(|| release.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bundled(name: &str) -> Vec<u8> {
        let timing = crate::schedule::Timing::from_every("1 day", Some(name)).unwrap();
        timing.zone().rules().unwrap().tzif().to_vec()
    }

    #[test]
    fn a_folder_is_read_with_its_links_and_without_what_is_no_zone() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("zoneinfo");
        let put = |name: &str, bytes: &[u8]| {
            let file = root.join(name);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, bytes).unwrap();
        };
        let paris = bundled("Europe/Paris");
        put("Europe/Paris", &paris);
        put("America/Argentina/Ushuaia", &bundled("America/Argentina/Ushuaia"));
        put("right/Europe/Paris", &paris);
        put("posix/Europe/Paris", &paris);
        put("A/b/c/d", &paris);
        put("tzdata.zi", b"# version 2027a\nR A 1 2 o\n");
        put("zone.tab", b"FR\tEurope/Paris\n");
        put("Broken", b"TZif2");
        put(".hidden", &paris);
        fs::write(folder.path().join("outside"), &paris).unwrap();
        #[cfg(unix)]
        for (link, to) in
            [("Paris", "Europe/Paris"), ("localtime", "../outside"), ("gone", "nowhere"), ("Old", "Europe")]
        {
            std::os::unix::fs::symlink(to, root.join(link)).unwrap();
        }
        let mut names: Vec<String> = listed(&root).unwrap().into_iter().map(|(name, _)| name).collect();
        names.sort();
        assert_eq!(names, ["America/Argentina/Ushuaia", "Broken", "Europe/Paris", "Old/Paris", "Paris"]);
        let (data, warnings) = read(Some(&root)).unwrap();
        assert_eq!(warnings.to_string(), "");
        assert_eq!(data.to_string(), format!("2027a ({})", root.display()));
        fs::remove_file(root.join("tzdata.zi")).unwrap();
        fs::write(root.join("+VERSION"), "2026c\n").unwrap();
        assert_eq!(read(Some(&root)).unwrap().0.release(), Some("2026c"));
        assert_eq!(read(None).unwrap().0.to_string(), "2026f (bundled)");
    }

    #[test]
    fn a_folder_that_has_no_zones_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let said = |path: &Path| read(Some(path)).unwrap_err().to_string();
        assert!(said(folder.path()).contains("there is no time zone (TZif file) in this folder"));
        let missing = said(&folder.path().join("missing"));
        assert!(missing.contains("can't be read") && missing.contains("clock.time_zones"), "{missing}");
    }

    #[test]
    fn a_folder_of_too_many_zones_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        for n in 0..=ZONES {
            fs::write(folder.path().join(format!("Z{n}")), b"TZif").unwrap();
        }
        assert!(read(Some(folder.path())).unwrap_err().to_string().contains("more than 2000 zones"));
    }
}
