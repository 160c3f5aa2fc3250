//! `from`, `until` and `limit` → bounds.

use super::{Definition, instant};
use crate::{
    fault::{Fault, FaultCode, Flaw},
    timing::bounds::Bounds,
    zone::Zone,
};

/// Reads them; `None` where there are none.
pub(crate) fn bounds(
    definition: &Definition,
    zone: Option<&Zone>,
    faults: &mut Vec<Fault>,
) -> Option<Box<Bounds>> {
    let mut read = |key, text: Option<&str>| match instant::bound(text?, zone) {
        Ok(instant) => Some(instant),
        Err(flaw) => {
            faults.push(flaw.of(key));
            None
        }
    };
    let (from, until) =
        (read("from", definition.from.as_deref()), read("until", definition.until.as_deref()));
    if let (Some(from), Some(until)) = (from, until)
        && from >= until
    {
        let what = format!("'until' ({until}) is not after 'from' ({from})");
        faults.push(Flaw::whole(what).code(FaultCode::Conflict).of("until"));
    }
    if definition.limit == Some(0) {
        let what = "0; a limit allows at least 1 occurrence";
        faults.push(
            Flaw::whole(what)
                .code(FaultCode::OutOfRange)
                .expected("1 or more")
                .help("paused = true sends nothing")
                .of("limit"),
        );
    }
    let bounds = Bounds::new(from, until, definition.limit);
    (bounds != Bounds::default()).then(|| Box::new(bounds))
}
