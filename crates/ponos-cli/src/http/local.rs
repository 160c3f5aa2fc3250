//! Who may ask a server that is for programs of this machine: whoever shows the token, if there is one, and no page of the web.

use super::{connections::is_here, problem::Problem};
use crate::{exit::Exit, output, trouble::Trouble};
use hyper::{
    HeaderMap, StatusCode,
    header::{AUTHORIZATION, HOST, ORIGIN},
};
use ponos::files;
use std::path::Path;
use subtle::ConstantTimeEq;

/// The most bytes of a file with a token.
const TOKEN: u64 = 4096;

/// Lets a request in. `is_tcp`: it came to an address, so that names of hosts count.
///
/// # Errors
/// 403 for a page of the web, 401 without the token.
pub(crate) fn let_in(headers: &HeaderMap, is_tcp: bool, token: Option<&str>) -> Result<(), Problem> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    if headers.contains_key(ORIGIN) || is_tcp && !text(HOST).is_some_and(is_here) {
        let what = "web pages may not ask here; ask as http://127.0.0.1 or http://localhost, without an Origin header";
        return Err(Problem::new(StatusCode::FORBIDDEN, "foreign", what));
    }
    let Some(token) = token else { return Ok(()) };
    let shown = text(AUTHORIZATION).and_then(|value| value.strip_prefix("Bearer ")).unwrap_or_default();
    if !bool::from(shown.trim().as_bytes().ct_eq(token.as_bytes())) {
        let what = "show the token: Authorization: Bearer TOKEN, as it stands in the file of --token-file";
        return Err(Problem::new(StatusCode::UNAUTHORIZED, "no-token", what).asks_for_token());
    }
    Ok(())
}

/// The token that a file holds.
///
/// # Errors
/// It can't be read, or holds none.
pub(crate) fn token(path: &Path) -> Result<String, Trouble> {
    let unusable = |what: String| {
        Trouble::Words(Exit::Configuration, format!("--token-file {}: {what}", path.display()))
    };
    let text = files::read_text(path, TOKEN).map_err(|error| unusable(error.to_string()))?;
    if let Some(warning) = files::open_to_others(path) {
        output::complain(&format!("warning: {warning}"));
    }
    let token = text.trim();
    if token.len() < 16 || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(unusable("a token is one word of at least 16 printable ASCII characters, such as openssl rand -hex 16 makes".into()));
    }
    Ok(token.to_owned())
}
