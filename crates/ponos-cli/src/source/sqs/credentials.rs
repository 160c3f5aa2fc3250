//! The key of AWS that calls are signed with: from the environment, or from files, which are read again while the program runs,
//! so that a key can be replaced. It is shown nowhere.

use super::settings::KeyFiles;
use crate::{exit::Exit, output, trouble::Trouble};
use ponos::files;
use std::{
    fmt,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::time::Instant;

/// The most bytes of a file: tokens of a session have a thousand or more.
const FILE: u64 = 16 * 1024;
/// How long what was read of files counts.
const FRESH: Duration = Duration::from_secs(5);

/// A key. `Debug` shows nothing of it.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Credentials {
    pub(super) access_key_id: String,
    pub(super) secret_access_key: String,
    /// Of a key that ends by itself.
    pub(super) session_token: Option<String>,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials")
    }
}

impl Credentials {
    /// Whether a text has a part of it that nobody may see.
    pub(super) fn are_in(&self, text: &str) -> bool {
        let token = self.session_token.as_deref();
        text.contains(&self.secret_access_key) || token.is_some_and(|token| text.contains(token))
    }
}

/// Where a part of a key is.
#[derive(Debug, Clone)]
enum Place {
    Variable(String),
    /// The file that this variable, or this key of `[source.sqs]`, names.
    File(String, PathBuf),
}

/// Where the key is, and what it was when it was last read.
#[derive(Debug)]
pub(super) struct CredentialSource {
    access_key_id: Place,
    secret_access_key: Place,
    session_token: Option<Place>,
    last: Mutex<Last>,
}

#[derive(Debug)]
struct Last {
    read: Instant,
    credentials: Arc<Credentials>,
    /// Files can't be read, and that was said.
    is_failing: bool,
}

impl CredentialSource {
    /// Finds the key and reads it: in the environment, which is asked for variables by `variable`, or, where nothing of it is
    /// there, in the files.
    ///
    /// # Errors
    /// There is none, or a half, or it can't be read.
    pub(super) fn find(variable: impl Fn(&str) -> Option<String>, keys: &KeyFiles) -> Result<Self, Trouble> {
        let unusable = |what: String| Trouble::Words(Exit::Configuration, what);
        let told = |name: &str| {
            let is_set = |name: &str| variable(name).is_some_and(|text| !text.is_empty());
            let file = format!("{name}_FILE");
            if is_set(name) {
                return Some(Place::Variable(name.to_owned()));
            }
            variable(&file).filter(|path| !path.is_empty()).map(|path| Place::File(file, path.into()))
        };
        let of_environment = ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"].map(told);
        let of_files = [
            ("access_key_id_file", &keys.access_key_id),
            ("secret_access_key_file", &keys.secret_access_key),
            ("session_token_file", &keys.session_token),
        ];
        let of_files = of_files.map(|(name, path)| Some(Place::File(name.to_owned(), path.clone()?)));
        // halves of two keys are no key
        let [id, secret, token] =
            if of_environment.iter().any(Option::is_some) { of_environment } else { of_files };
        let (access_key_id, secret_access_key) = match (id, secret) {
            (Some(id), Some(secret)) => (id, secret),
            (None, None) => {
                return Err(unusable(
                    "there is no key of AWS: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or access_key_id_file and secret_access_key_file in [source.sqs]".into(),
                ));
            }
            (id, _) => {
                let (is, missing) = if id.is_some() { ("ID", "SECRET") } else { ("SECRET", "ID") };
                let name = |which: &str| match which {
                    "ID" => "AWS_ACCESS_KEY_ID",
                    _ => "AWS_SECRET_ACCESS_KEY",
                };
                let (is, missing) = (name(is), name(missing));
                return Err(unusable(format!(
                    "a key of AWS has two parts: {is} is there, and {missing} is not"
                )));
            }
        };
        for place in [Some(&access_key_id), Some(&secret_access_key), token.as_ref()].into_iter().flatten() {
            if let Place::File(_, file) = place
                && let Some(warning) = files::open_to_others(file)
            {
                output::complain(&format!("warning: {warning}"));
            }
        }
        let parts = (&access_key_id, &secret_access_key, token.as_ref());
        let credentials = Arc::new(read(parts, &variable).map_err(unusable)?);
        let last = Mutex::new(Last { read: Instant::now(), credentials, is_failing: false });
        Ok(Self { access_key_id, secret_access_key, session_token: token, last })
    }

    /// The key. Files that can't be read any more are said once; the last key that was read counts then.
    pub(super) fn current(&self) -> Arc<Credentials> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let parts = (&self.access_key_id, &self.secret_access_key, self.session_token.as_ref());
        let is_in_files =
            [parts.0, parts.1].into_iter().chain(parts.2).any(|place| matches!(place, Place::File(..)));
        if is_in_files && last.read.elapsed() >= FRESH {
            last.read = Instant::now();
            match read(parts, &|name: &str| std::env::var(name).ok()) {
                Ok(credentials) => {
                    if credentials != *last.credentials {
                        tracing::info!("the key of AWS was replaced");
                        last.credentials = Arc::new(credentials);
                    }
                    last.is_failing = false;
                }
                Err(what) if !last.is_failing => {
                    tracing::warn!("{what}; the key that was read before is used");
                    last.is_failing = true;
                }
                Err(_) => {}
            }
        }
        Arc::clone(&last.credentials)
    }
}

type Parts<'a> = (&'a Place, &'a Place, Option<&'a Place>);

fn read(
    (id, secret, token): Parts<'_>,
    variable: &impl Fn(&str) -> Option<String>,
) -> Result<Credentials, String> {
    let part = |what: &str, place: &Place| {
        let (shown, text) = match place {
            Place::Variable(name) => (format!("the variable {name}"), variable(name).unwrap_or_default()),
            Place::File(name, file) => {
                // not the path: a key may stand where its file should be named
                let shown = format!("the file that {name} names");
                let text = files::read_text(file, FILE)
                    .map_err(|error| format!("{what} of AWS can't be read: {shown}: {error}"))?;
                (shown, text)
            }
        };
        let text = text.trim();
        // it becomes a part of a header
        if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(format!("{what} of AWS is not one word of printable ASCII: {shown}"));
        }
        Ok(text.to_owned())
    };
    Ok(Credentials {
        access_key_id: part("the access key id", id)?,
        secret_access_key: part("the secret access key", secret)?,
        session_token: token.map(|token| part("the session token", token)).transpose()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn find(variables: &[(&str, &str)], keys: &KeyFiles) -> Result<CredentialSource, String> {
        let variables: Vec<(String, String)> =
            variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let variable = move |name: &str| {
            variables.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone())
        };
        CredentialSource::find(variable, keys).map_err(|trouble| trouble.to_string())
    }

    #[tokio::test]
    async fn the_environment_goes_before_files_and_halves_of_two_keys_are_no_key() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| {
            fs::write(folder.path().join(name), text).unwrap();
            Some(folder.path().join(name))
        };
        let keys = KeyFiles {
            access_key_id: file("id", "AKIDFILE\n"),
            secret_access_key: file("secret", "hunter2-file\n"),
            session_token: file("token", "token-file\n"),
        };
        let source = find(&[], &keys).unwrap();
        let read = source.current();
        assert_eq!(
            (read.access_key_id.as_str(), read.session_token.as_deref()),
            ("AKIDFILE", Some("token-file"))
        );
        assert!(read.are_in("x hunter2-file y") && read.are_in("token-file") && !read.are_in("AKIDFILE"));
        assert!(!format!("{source:?}").contains("hunter2"), "{source:?}");
        let both = [("AWS_ACCESS_KEY_ID", "AKIDENV"), ("AWS_SECRET_ACCESS_KEY", "hunter2-env")];
        let read = find(&both, &keys).unwrap().current();
        assert_eq!((read.access_key_id.as_str(), &read.session_token), ("AKIDENV", &None));
        let half = find(&both[..1], &keys).unwrap_err();
        assert!(half.contains("AWS_SECRET_ACCESS_KEY is not"), "{half}");
        let half = find(&both[1..], &keys).unwrap_err();
        assert!(half.contains("AWS_ACCESS_KEY_ID is not") && !half.contains("hunter2"), "{half}");
        let of_file =
            ("AWS_SECRET_ACCESS_KEY_FILE", keys.secret_access_key.as_ref().unwrap().to_str().unwrap());
        let read = find(&[both[0], of_file], &KeyFiles::default()).unwrap().current();
        assert_eq!(read.secret_access_key, "hunter2-file");
        assert!(find(&[], &KeyFiles::default()).unwrap_err().contains("there is no key of AWS"));
        let slip = KeyFiles { secret_access_key: Some("hunter2".into()), ..keys.clone() };
        for wrong in [
            find(&[], &slip).unwrap_err(),
            find(&[both[0], ("AWS_SECRET_ACCESS_KEY_FILE", "hunter2")], &keys).unwrap_err(),
        ] {
            assert!(wrong.to_lowercase().contains("secret_access_key_file"), "{wrong}");
            assert!(!wrong.contains("hunter2"), "{wrong}");
        }
        let torn = file("torn", "hunter2 \n hunter3");
        let wrong = find(&[], &KeyFiles { secret_access_key: torn, ..keys }).unwrap_err();
        assert!(wrong.contains("not one word") && !wrong.contains("hunter"), "{wrong}");
    }

    #[tokio::test(start_paused = true)]
    async fn files_that_change_are_read_again_and_a_lost_one_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let [id, secret] = ["id", "secret"].map(|name| folder.path().join(name));
        fs::write(&id, "one").unwrap();
        fs::write(&secret, "a-secret").unwrap();
        let keys = KeyFiles {
            access_key_id: Some(id.clone()),
            secret_access_key: Some(secret),
            session_token: None,
        };
        let source = find(&[], &keys).unwrap();
        fs::write(&id, "two").unwrap();
        assert_eq!(source.current().access_key_id, "one");
        tokio::time::advance(FRESH).await;
        assert_eq!(source.current().access_key_id, "two");
        fs::remove_file(&id).unwrap();
        tokio::time::advance(FRESH).await;
        assert_eq!(source.current().access_key_id, "two");
    }
}
