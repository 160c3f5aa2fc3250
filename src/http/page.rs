//! The operator's page at `/`: a document, a style sheet and modules that are built in, as they stand in `src/http/page/`.
//!
//! Invariant: they are the same whoever asks, and nothing of the clock is in them: so they need no token. What the page shows,
//! its modules ask of `/v1`, with the token of whoever reads it. Nothing is fetched from elsewhere, and the policy that goes with
//! each file forbids it. Addresses are relative: the page works behind any prefix that ends with a slash. Absent: what is shown.

use axum::{
    Router,
    extract::Path,
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header},
    response::{IntoResponse, Response},
    routing::get,
};
use sha2::{Digest, Sha256};
use std::sync::LazyLock;

/// Where the files are.
const FOLDER: &str = "/page/";

/// Scripts, styles, pictures and requests of this origin alone; no text becomes markup or code (Trusted Types).
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; \
                      trusted-types 'none'";

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const SVG: &str = "image/svg+xml";

/// A file of the page.
struct File {
    name: &'static str,
    kind: &'static str,
    content: &'static str,
}

macro_rules! files {
    ($($kind:ident: $($name:literal),+);+ $(;)?) => {
        &[$($(File { name: $name, kind: $kind, content: include_str!(concat!("page/", $name)) }),+),+]
    };
}

/// The document comes first.
const FILES: &[File] = files! {
    HTML: "index.html";
    CSS: "page.css";
    SVG: "icon.svg";
    SCRIPT:
        "actions.js", "api.js", "app.js", "changes.js", "cluster.js", "coverage.js", "delayed.js", "dialog.js", "dom.js",
        "feed.js", "forecast.js", "health.js", "keys.js", "lateness.js", "notices.js", "now.js", "operations.js",
        "outcome.js", "parked.js", "reason.js", "renew.js", "schedule.js", "schedules.js", "session.js", "sign_in.js",
        "time.js", "timeline.js", "timeline_axis.js", "timeline_handled.js", "timeline_lanes.js", "tree.js", "why.js";
};

/// What each is known by in caches: a digest of its content, in quotes.
static TAGS: LazyLock<Vec<String>> = LazyLock::new(|| FILES.iter().map(|file| tag(file.content)).collect());

fn tag(content: &str) -> String {
    let digest = Sha256::digest(content);
    let digits: String = digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    format!("\"{digits}\"")
}

/// Serves the files beside the document.
pub(super) fn router() -> Router {
    Router::new().route("/page/{name}", get(file))
}

/// Whether a request is for the page, which is shown to whoever reaches the clock.
pub(super) fn is_asked(method: &Method, uri: &Uri, headers: &HeaderMap) -> bool {
    let is_read = matches!(*method, Method::GET | Method::HEAD);
    is_read && (uri.path().starts_with(FOLDER) || uri.path() == "/" && wants_html(headers))
}

/// Whether HTML is what the caller wants most of what there is at `/`: a browser names it first. Of those that are wanted equally,
/// the one that is named first counts (RFC 9110, §12.5.1, leaves that open).
pub(super) fn wants_html(headers: &HeaderMap) -> bool {
    let accept = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
    let mut best: Option<(&str, f32)> = None;
    for range in accept.split(',') {
        let mut parts = range.split(';').map(str::trim);
        let kind = parts.next().unwrap_or_default();
        let weight = parts.find_map(|part| part.strip_prefix("q=")).map_or(1.0, |q| q.parse().unwrap_or(0.0));
        let is_served = ["text/html", "application/json", "text/plain"].contains(&kind);
        if is_served && weight > best.map_or(0.0, |(_, most)| most) {
            best = Some((kind, weight));
        }
    }
    best.is_some_and(|(kind, _)| kind == "text/html")
}

/// The document.
pub(super) fn document(headers: &HeaderMap) -> Response {
    answer(0, headers)
}

async fn file(Path(name): Path<String>, headers: HeaderMap) -> Response {
    match FILES.iter().position(|file| file.name == name) {
        Some(number) => answer(number, &headers),
        None => super::problem::Problem::new(StatusCode::NOT_FOUND, format!("the page has no file '{name}'"))
            .into_response(),
    }
}

fn answer(number: usize, headers: &HeaderMap) -> Response {
    let (Some(file), Some(tag)) = (FILES.get(number), TAGS.get(number)) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let is_known = headers.get_all(header::IF_NONE_MATCH).iter().any(|known| names(known, tag));
    let mut response = match is_known {
        true => StatusCode::NOT_MODIFIED.into_response(),
        false => ([(header::CONTENT_TYPE, file.kind)], file.content).into_response(),
    };
    let head = response.headers_mut();
    let fixed: [(HeaderName, &'static str); 5] = [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::REFERRER_POLICY, "no-referrer"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        // Asked for again each time, and answered with 304 while it is the same: a new version is shown at once.
        (header::CACHE_CONTROL, "no-cache"),
        // At `/` programs get something else.
        (header::VARY, "accept"),
    ];
    head.extend(fixed.map(|(name, value)| (name, HeaderValue::from_static(value))));
    head.extend(HeaderValue::from_str(tag).ok().map(|tag| (header::ETAG, tag)));
    response
}

/// Whether a list of tags has this one, weak or not (RFC 9110, §13.1.2).
fn names(known: &HeaderValue, tag: &str) -> bool {
    let known = known.to_str().unwrap_or_default();
    known.split(',').map(str::trim).any(|one| one == "*" || one.trim_start_matches("W/") == tag)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The addresses that a file names: of what a document loads, of the modules that a script imports, in a style sheet.
    fn addresses(file: &File) -> Vec<&'static str> {
        let behind = |mark: &str| file.content.split(mark).skip(1).collect::<Vec<_>>();
        let is_import = |line: &&str| line.starts_with("import ") || line.starts_with("} from ");
        let found = match file.kind {
            HTML => [behind(" src=\""), behind(" href=\"")].concat(),
            SCRIPT => {
                file.content.lines().filter(is_import).filter_map(|line| line.split('"').nth(1)).collect()
            }
            _ => behind("url("),
        };
        found.into_iter().filter_map(|rest| rest.split(['"', ')']).next()).collect()
    }

    #[test]
    fn the_page_names_its_own_files_alone_and_each_of_them() {
        let mut named = vec!["index.html"];
        for file in FILES {
            for address in addresses(file).into_iter().filter(|address| !address.starts_with('#')) {
                let name = address.strip_prefix(if file.kind == HTML { "page/" } else { "./" });
                let is_there = name.is_some_and(|name| FILES.iter().any(|file| file.name == name));
                assert!(is_there, "{}: {address}", file.name);
                named.extend(name);
            }
            let elsewhere = file.content.replace("http://www.w3.org/2000/svg", "");
            assert!(!elsewhere.contains("://"), "{} names an address elsewhere", file.name);
        }
        for file in FILES {
            assert!(named.contains(&file.name), "{} is served and not used", file.name);
        }
    }

    #[test]
    fn html_is_for_who_wants_it_most() {
        let browser = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
        for (accept, is) in [
            (browser, true),
            ("text/html;q=0.5, application/json", false),
            ("application/json;q=0.5, text/html", true),
            ("text/html, application/json", true),
            ("application/json, text/html", false),
            ("text/plain, text/html", false),
            ("text/html;q=0", false),
            ("text/html;q=x", false),
            ("*/*", false),
            ("", false),
        ] {
            let headers = HeaderMap::from_iter([(header::ACCEPT, HeaderValue::from_static(accept))]);
            assert_eq!(wants_html(&headers), is, "{accept}");
        }
        assert!(!wants_html(&HeaderMap::new()));
    }

    #[test]
    fn the_document_has_no_script_and_no_style_of_its_own() {
        let document = FILES[0].content;
        assert!(document.contains("<script type=\"module\" src=\"page/app.js\"></script>"));
        assert_eq!(document.matches("<script").count(), 1);
        assert!(!document.contains("<style") && !document.contains("style="));
        let is_listener = |word: &str| word.starts_with("on") && word.contains('=');
        assert!(!document.split_whitespace().any(is_listener));
    }
}
