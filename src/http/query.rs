//! Queries: the parameters of a route, each once at most, and all that is wrong with them.

use super::problem::{Problem, ProblemError};
use crate::{
    diagnostic::did_you_mean,
    schedule::{FaultCode, parse_instant},
};
use axum::{
    extract::{FromRequestParts, Query},
    http::{Uri, request::Parts},
};
use ponos::text::shown;
use serde::de::DeserializeOwned;
use std::collections::HashSet;
use utoipa::{
    IntoParams,
    openapi::{
        KnownFormat, RefOr, SchemaFormat,
        path::{Parameter, ParameterIn},
        schema::Schema,
    },
};

/// What a query asks for.
#[derive(Debug)]
pub(super) struct Asked<T>(pub(super) T);

impl<S: Sync, T: DeserializeOwned + IntoParams> FromRequestParts<S> for Asked<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        read(parts.uri.query().unwrap_or_default()).map(Self)
    }
}

fn read<T: DeserializeOwned + IntoParams>(query: &str) -> Result<T, Problem> {
    let known = T::into_params(|| Some(ParameterIn::Query));
    let (mut faults, mut seen) = (Vec::new(), HashSet::new());
    for written in query.split('&').filter(|written| !written.is_empty()) {
        let pairs = parsed::<Vec<(String, String)>>(written).unwrap_or_default();
        let Some((name, value)) = pairs.into_iter().next() else { continue };
        let fault =
            |code, detail: String, suggestion| ProblemError::parameter(&name, code, detail, suggestion);
        let Some(parameter) = known.iter().find(|known| known.name == name) else {
            let what = format!("'{}' is unknown here", shown(&name));
            let help = did_you_mean(&name, known.iter().map(|known| known.name.as_str()));
            faults.push(fault(FaultCode::UnknownKey, what, Some(help)));
            continue;
        };
        if !seen.insert(name.clone()) {
            let what = format!("'{name}' is given twice");
            faults.push(fault(FaultCode::DuplicateKey, what, Some("leave one of them out".to_owned())));
        } else if let Err(said) = parsed::<T>(written) {
            faults.push(match instant_fault(parameter, &value) {
                Some((code, what, help)) => fault(code, what, help),
                None => {
                    let said = said.strip_prefix(&format!("{name}: ")).unwrap_or(&said);
                    let value = shown(&value);
                    let said =
                        if said.contains(&value) { said.to_owned() } else { format!("'{value}': {said}") };
                    fault(FaultCode::InvalidValue, said, None)
                }
            });
        }
    }
    if !faults.is_empty() {
        return Err(Problem::parameters(faults));
    }
    parsed(query).map_err(Problem::bad)
}

fn parsed<T: DeserializeOwned>(query: &str) -> Result<T, String> {
    let uri: Uri = format!("/?{query}").parse().map_err(|_| "this is not a query".to_owned())?;
    let read = Query::<T>::try_from_uri(&uri);
    read.map(|Query(read)| read).map_err(|rejection| {
        let said = rejection.body_text();
        said.split_once("query string: ").map_or(said.clone(), |(_, said)| said.to_owned())
    })
}

/// What is wrong with an instant, as it is said of one in a definition.
fn instant_fault(parameter: &Parameter, value: &str) -> Option<(FaultCode, String, Option<String>)> {
    let Some(RefOr::T(Schema::Object(object))) = &parameter.schema else { return None };
    if object.format != Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)) {
        return None;
    }
    let fault = parse_instant(value, None, "from", None).err()?;
    Some((fault.code, fault.what, fault.help))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::{history::HistoryQuery, next::NextQuery};

    fn faults<T: DeserializeOwned + IntoParams>(query: &str) -> Vec<(String, FaultCode)> {
        let problem = read::<T>(query).err().expect("it is refused");
        problem.parameters_named().map(|(name, code)| (name.to_owned(), code)).collect()
    }

    #[test]
    fn all_that_is_wrong_is_said_of_its_parameter() {
        use FaultCode::{DuplicateKey, InvalidValue, NoTimeZone, TooFine, UnknownKey};
        let long = "x".repeat(60_000);
        for (query, expected) in [
            ("limit=1&limit=2", vec![("limit", DuplicateKey)]),
            (
                "limit=x&from=2026-12-01T09:00&lat=1s",
                vec![("limit", InvalidValue), ("from", NoTimeZone), ("lat", UnknownKey)],
            ),
            ("to=2026-12-01T09:00:00.0001Z", vec![("to", TooFine)]),
            ("from=", vec![("from", InvalidValue)]),
            ("after=x", vec![("after", InvalidValue)]),
            ("a:%20b=1", vec![("a: b", UnknownKey)]),
            ("&&%6Cimit=-1", vec![("limit", InvalidValue)]),
        ] {
            let found = faults::<HistoryQuery>(query);
            let found: Vec<_> = found.iter().map(|(name, code)| (name.as_str(), *code)).collect();
            assert_eq!(found, expected, "{query}");
        }
        let unknown = read::<NextQuery>(&format!("{long}=1")).err().unwrap();
        assert!(serde_json::to_string(&unknown).unwrap().len() < 2_000);
        let many: String = (0..5_000).map(|number| format!("k{number}=1&")).collect();
        let many = serde_json::to_value(read::<NextQuery>(&many).err().unwrap()).unwrap();
        assert_eq!((many["errors"].as_array().unwrap().len(), &many["more_errors"]), (100, &4_900.into()));
    }

    #[test]
    fn what_is_right_is_read_as_it_is_written() {
        let wanted: HistoryQuery = read("schedule=a%2Eb&limit=7&from=2026-12-01T09:00:00%2B01:00&&").unwrap();
        assert_eq!((wanted.schedule.as_deref(), wanted.limit), (Some("a.b"), Some(7)));
        assert_eq!(wanted.from.unwrap().to_string(), "2026-12-01T08:00:00.000Z");
        assert!(read::<HistoryQuery>("").unwrap().limit.is_none());
    }
}
