//! What was probably meant by a text that is not the name of a zone. Nothing is guessed from the letters of an
//! abbreviation: 'PST' has nothing to do with 'EST', and most of them are the time of several places.

use super::{data::ZoneData, windows};
use std::cmp::Reverse;

/// Abbreviations that people write, and places where a clock shows that time.
#[rustfmt::skip]
const ABBREVIATIONS: [(&str, &[&str]); 38] = [
    ("ACST", &["Australia/Adelaide"]), ("ACDT", &["Australia/Adelaide"]), ("ADT", &["America/Halifax"]),
    ("AEST", &["Australia/Sydney", "Australia/Brisbane"]), ("AEDT", &["Australia/Sydney"]),
    ("AKST", &["America/Anchorage"]), ("AKDT", &["America/Anchorage"]),
    ("AST", &["America/Halifax", "Asia/Riyadh"]), ("AWST", &["Australia/Perth"]),
    ("BRT", &["America/Sao_Paulo"]), ("BST", &["Europe/London", "Asia/Dhaka"]),
    ("CAT", &["Africa/Harare"]), ("CDT", &["America/Chicago", "America/Havana"]),
    ("CEST", &["Europe/Paris", "Europe/Berlin"]), ("CST", &["America/Chicago", "Asia/Shanghai", "America/Havana"]),
    ("EAT", &["Africa/Nairobi"]), ("EDT", &["America/New_York"]), ("EEST", &["Europe/Athens", "Europe/Kyiv"]),
    ("EST", &["America/New_York", "America/Panama"]), ("HKT", &["Asia/Hong_Kong"]), ("HST", &["Pacific/Honolulu"]),
    ("IST", &["Asia/Kolkata", "Europe/Dublin", "Asia/Jerusalem"]), ("JST", &["Asia/Tokyo"]),
    ("KST", &["Asia/Seoul"]), ("MDT", &["America/Denver"]), ("MSK", &["Europe/Moscow"]),
    ("MST", &["America/Denver", "America/Phoenix"]), ("NST", &["America/St_Johns"]), ("NZDT", &["Pacific/Auckland"]),
    ("NZST", &["Pacific/Auckland"]), ("PDT", &["America/Los_Angeles"]), ("PKT", &["Asia/Karachi"]),
    ("PST", &["America/Los_Angeles", "Asia/Manila"]), ("SAST", &["Africa/Johannesburg"]), ("SGT", &["Asia/Singapore"]),
    ("WEST", &["Europe/Lisbon"]), ("WAT", &["Africa/Lagos"]), ("WIB", &["Asia/Jakarta"]),
];

/// Places by how far their clocks are ahead of UTC outside summer time, in minutes.
#[rustfmt::skip]
const AHEAD: [(i32, &str); 36] = [
    (-660, "Pacific/Pago_Pago"), (-600, "Pacific/Honolulu"), (-570, "Pacific/Marquesas"),
    (-540, "America/Anchorage"), (-480, "America/Los_Angeles"), (-420, "America/Denver"), (-360, "America/Chicago"),
    (-300, "America/New_York"), (-240, "America/Halifax"), (-210, "America/St_Johns"), (-180, "America/Sao_Paulo"),
    (-120, "Atlantic/South_Georgia"), (-60, "Atlantic/Azores"), (60, "Europe/Paris"), (120, "Europe/Athens"),
    (180, "Europe/Moscow"), (210, "Asia/Tehran"), (240, "Asia/Dubai"), (270, "Asia/Kabul"), (300, "Asia/Karachi"),
    (330, "Asia/Kolkata"), (345, "Asia/Kathmandu"), (360, "Asia/Dhaka"), (390, "Asia/Yangon"),
    (420, "Asia/Bangkok"), (480, "Asia/Shanghai"), (525, "Australia/Eucla"), (540, "Asia/Tokyo"),
    (570, "Australia/Darwin"), (600, "Australia/Brisbane"), (630, "Australia/Lord_Howe"), (660, "Pacific/Noumea"),
    (720, "Pacific/Auckland"), (765, "Pacific/Chatham"), (780, "Pacific/Tongatapu"), (840, "Pacific/Kiritimati"),
];

/// Longer texts (in bytes) are not examined; the longest name has 32.
const LONGEST: usize = 40;
/// Whole hours from UTC for which there is a zone without a place.
const HOURS: std::ops::RangeInclusive<i32> = -12..=14;
const RANGE: &str =
    "zones without a place are whole hours, from 'Etc/GMT-14' (ahead of UTC) to 'Etc/GMT+12' (behind it)";

/// What to write instead of a text that is not the name of a zone of this data, as far as that can be said.
pub(super) fn meant(text: &str, data: &ZoneData) -> Option<String> {
    if text.len() > LONGEST {
        return None;
    }
    let bare = text.trim();
    if bare.eq_ignore_ascii_case("z") {
        return Some("write 'UTC'".to_owned());
    }
    if let Some(help) =
        from_utc(bare).or_else(|| known_abbreviation(bare)).or_else(|| with_abbreviation(bare))
    {
        return Some(help);
    }
    if let Some(place) = region_of_windows(bare) {
        return Some(format!("use a place with that time, such as '{place}'"));
    }
    let folded = bare.to_ascii_lowercase().replace(' ', "_");
    let did_you_mean = |name: &str| format!("did you mean '{name}'?");
    if let Some(name) = same_letters(&folded, data) {
        return Some(did_you_mean(name));
    }
    if bare.contains(" Time") {
        let place = windows::place(bare).map_or(String::new(), |place| format!(", such as '{place}'"));
        return Some(format!("this is a Windows name: use a place with that time{place}"));
    }
    if let Some(help) = without_place(&folded) {
        return Some(help);
    }
    if bare.len() <= 5 && bare.bytes().all(|byte| byte.is_ascii_uppercase()) {
        return Some("abbreviations are ambiguous: use a place with that time".to_owned());
    }
    near(&folded, data).map(did_you_mean)
}

/// `GMT+2`, `UTC-05:30`, `+02:00`: IANA's names have the sign the other way round.
fn from_utc(text: &str) -> Option<String> {
    let upper = text.to_ascii_uppercase();
    // 'Etc/GMT+2' has the sign that IANA gives it.
    let names = ["GMT", "UTC", "UT", "ETC/UTC", "ETC/UT", "ETC/UCT"];
    let rest = names.iter().find_map(|name| upper.strip_prefix(name)).unwrap_or(&upper);
    let minutes = ahead(rest.trim_start())?;
    let place = AHEAD.iter().find(|(ahead, _)| *ahead == minutes);
    let place =
        place.map(|(_, place)| format!("use a place, such as '{place}', with its summer time if it has one"));
    let hours = minutes / 60;
    if minutes == 0 {
        return Some("write 'UTC'".to_owned());
    }
    if minutes % 60 != 0 || !HOURS.contains(&hours) {
        return Some(place.unwrap_or_else(|| RANGE.to_owned()));
    }
    let (turned, side) = if hours > 0 { ('-', "ahead of") } else { ('+', "behind") };
    let n = hours.abs();
    let unit = if n == 1 { "hour" } else { "hours" };
    let place = place.map_or(String::new(), |place| format!("; or {place}"));
    Some(format!("IANA names have the sign reversed: {n} {unit} {side} UTC is 'Etc/GMT{turned}{n}'{place}"))
}

/// The minutes of `+2`, `-05:30` or `+0200`.
fn ahead(text: &str) -> Option<i32> {
    let (sign, rest) = match text.split_at_checked(1)? {
        ("+", rest) => (1, rest),
        ("-", rest) => (-1, rest),
        _ => return None,
    };
    let digits =
        |text: &str| !text.is_empty() && text.len() <= 2 && text.bytes().all(|byte| byte.is_ascii_digit());
    let (hours, minutes) = match rest.split_once(':') {
        Some((hours, minutes)) => (hours, minutes),
        None if rest.len() == 4 => rest.split_at_checked(2)?,
        None => (rest, "00"),
    };
    if !digits(hours) || !digits(minutes) {
        return None;
    }
    Some(sign * (hours.parse::<i32>().ok()? * 60 + minutes.parse::<i32>().ok()?))
}

/// `Etc/GMT+05`, `Etc/GMT+13`, `GMT2`: never another offset than the written one.
fn without_place(folded: &str) -> Option<String> {
    let hours = folded.strip_prefix("etc/gmt").and_then(ahead).filter(|minutes| minutes % 60 == 0);
    // The sign is IANA's here.
    if let Some(hours) = hours.map(|minutes| minutes / 60).filter(|hours| HOURS.contains(&-hours)) {
        return Some(format!("did you mean 'Etc/GMT{hours:+}'?"));
    }
    let counted = folded.contains("gmt") || folded.contains("utc");
    (counted && folded.bytes().any(|byte| byte.is_ascii_digit())).then(|| RANGE.to_owned())
}

fn known_abbreviation(text: &str) -> Option<String> {
    let known = ABBREVIATIONS.iter().find(|(name, _)| name.eq_ignore_ascii_case(text))?;
    Some(ambiguous(known.1))
}

/// `CST8CDT`, `CET-1CEST`, `EST/EDT`: what POSIX and people make of abbreviations. The letters say as little as alone.
fn with_abbreviation(text: &str) -> Option<String> {
    let end = text.find(|c: char| !c.is_ascii_alphabetic()).filter(|end| (2..=5).contains(end))?;
    let (name, rest) = text.split_at_checked(end)?;
    let hours = rest.trim_start_matches(['+', '-']).starts_with(|c: char| c.is_ascii_digit());
    let pair = rest.strip_prefix('/').is_some_and(|other| {
        let letters = other.bytes().all(|byte| byte.is_ascii_uppercase());
        letters && (2..=5).contains(&other.len()) && name.bytes().all(|byte| byte.is_ascii_uppercase())
    });
    let counted = ["GMT", "UTC", "UT", "ETC"].iter().any(|known| known.eq_ignore_ascii_case(name));
    if counted || !(hours || pair) {
        return None;
    }
    let any = || "abbreviations are ambiguous: use a place with that time".to_owned();
    Some(known_abbreviation(name).unwrap_or_else(any))
}

/// What IANA names as well; a test compares them.
const OF_BOTH: [&str; 9] = ["Cuba", "Egypt", "GMT", "Greenwich", "Iran", "Israel", "Libya", "Turkey", "UTC"];

/// The place for a part of the world that Windows names a zone by, and IANA does not: `Eastern`, `Central Europe`.
fn region_of_windows(text: &str) -> Option<&'static str> {
    let place = windows::place(text).filter(|_| !text.contains(" Time"))?;
    let is_iana = OF_BOTH.iter().any(|name| name.eq_ignore_ascii_case(text));
    let is_city = place.rsplit('/').next().is_some_and(|city| city.eq_ignore_ascii_case(text));
    (!is_iana && !is_city).then_some(place)
}

fn ambiguous(places: &[&str]) -> String {
    format!("abbreviations are ambiguous: use a place, such as '{}'", places.join("' or '"))
}

/// The same name, or the same city, in other letters: "Etc/Paris" and plain "paris".
fn same_letters<'a>(folded: &str, data: &'a ZoneData) -> Option<&'a str> {
    let wanted = folded.rsplit('/').next().unwrap_or_default();
    let mut names = data.names();
    // A region's own folder is the better answer than an old alias.
    let of_city = names
        .clone()
        .filter(|name| name.rsplit('/').next().is_some_and(|city| city.eq_ignore_ascii_case(wanted)));
    let of_city = of_city.max_by_key(|name| name.len());
    names.find(|name| name.eq_ignore_ascii_case(folded)).or(of_city)
}

/// A name that is a few letters off; an abbreviation has too few letters for a guess.
fn near<'a>(folded: &str, data: &'a ZoneData) -> Option<&'a str> {
    if folded.len() < 5 {
        return None;
    }
    // A region in front of it makes no name of another city more alike.
    let allowed = 1 + folded.rsplit('/').next().unwrap_or_default().len() / 6;
    let names = data.names().filter(|name| name.len().abs_diff(folded.len()) <= allowed);
    let far = names
        .map(|name| (strsim::levenshtein(&name.to_ascii_lowercase(), folded), Reverse(name.len()), name));
    far.min().filter(|(far, ..)| *far <= allowed).map(|(.., name)| name)
}

#[cfg(test)]
mod tests {
    use super::{super::Zone, *};

    fn help(text: &str) -> Option<String> {
        assert!(Zone::parse(text).is_err(), "{text}");
        let help = Zone::parse(text).unwrap_err().of("").help;
        // Whatever is shown as a zone is one.
        for (index, part) in help.iter().flat_map(|help| help.split('\'').enumerate()) {
            assert!(index % 2 == 0 || Zone::parse(part).is_ok(), "{text}: {part}");
        }
        help
    }

    #[test]
    fn a_misspelt_zone_is_answered_with_the_nearest_name() {
        for (text, name) in [
            ("Europe/Pari", "Europe/Paris"),
            ("europe/paris", "Europe/Paris"),
            ("Paris", "Europe/Paris"),
            ("PARIS", "Europe/Paris"),
            ("America/NewYork", "America/New_York"),
            ("America/New York", "America/New_York"),
            ("utc", "UTC"),
            ("CUBA", "Cuba"),
            ("Asia/Calcuta", "Asia/Calcutta"),
        ] {
            assert_eq!(help(text), Some(format!("did you mean '{name}'?")), "{text}");
        }
        assert_eq!(help("Nowhere/Atall"), None);
        assert_eq!(Zone::parse("Europe/Paris").unwrap().name(), "Europe/Paris");
    }

    #[test]
    fn hours_from_utc_are_answered_with_the_sign_that_iana_gives_them() {
        for (text, name) in [
            ("GMT+2", "2 hours ahead of UTC is 'Etc/GMT-2'"),
            ("GMT-5", "5 hours behind UTC is 'Etc/GMT+5'"),
            ("UTC+1", "1 hour ahead of UTC is 'Etc/GMT-1'"),
            ("utc+02:00", "'Etc/GMT-2'"),
            ("+0200", "'Etc/GMT-2'"),
            ("-12", "'Etc/GMT+12'"),
            ("UTC+14", "'Etc/GMT-14'"),
            ("Etc/UTC+2", "2 hours ahead of UTC is 'Etc/GMT-2'"),
            ("etc/utc-05:00", "5 hours behind UTC is 'Etc/GMT+5'"),
            ("Etc/UCT+9", "or use a place, such as 'Asia/Tokyo'"),
            ("UTC+8", "or use a place, such as 'Asia/Shanghai'"),
        ] {
            let help = help(text).unwrap();
            assert!(help.contains(name) && help.contains("sign"), "{text}: {help}");
            // In the twelfth hour behind UTC nobody lives.
            assert!(help.contains("or use a place") || text == "-12", "{text}: {help}");
        }
        for (text, right) in [
            ("UTC+5:30", "use a place, such as 'Asia/Kolkata', with its summer time if it has one"),
            ("-0330", "use a place, such as 'America/St_Johns', with its summer time if it has one"),
            ("UTC+5:10", RANGE),
            ("GMT+15", RANGE),
            ("GMT-13", RANGE),
            ("Etc/UTC+15", RANGE),
            ("Etc/GMT+13", RANGE),
            ("Etc/GMT+15", RANGE),
            ("Etc/GMT-15", RANGE),
            ("etc/gmt-99", RANGE),
            ("Etc/GMT+5:30", RANGE),
            ("Etc/GMT13", RANGE),
            ("GMT+100", RANGE),
            ("Etc/GMT+05", "did you mean 'Etc/GMT+5'?"),
            ("Etc/GMT-05:00", "did you mean 'Etc/GMT-5'?"),
            ("Etc/GMT+00", "did you mean 'Etc/GMT+0'?"),
            ("etc/gmt-5", "did you mean 'Etc/GMT-5'?"),
            ("UTC+0", "write 'UTC'"),
            ("UTC-0:00", "write 'UTC'"),
            ("Z", "write 'UTC'"),
        ] {
            assert_eq!(help(text).as_deref(), Some(right), "{text}");
        }
        // The zones that are named are what is said of them.
        let offset = |name: &str| Zone::parse(name).unwrap().segments().last().unwrap().offset;
        assert_eq!((offset("Etc/GMT-2"), offset("Etc/GMT+5")), (2 * 3_600_000, -5 * 3_600_000));
        // One of the last two segments is outside summer time: the smaller one.
        for (minutes, place) in AHEAD {
            let zone = Zone::parse(place).unwrap();
            let last = zone.segments().iter().rev().take(2).map(|one| one.offset);
            assert!(last.collect::<Vec<_>>().contains(&(i64::from(minutes) * 60_000)), "{place}");
        }
    }

    #[test]
    fn nothing_is_guessed_from_the_letters_of_an_abbreviation() {
        for (text, place) in [
            ("PST", "America/Los_Angeles"),
            ("IST", "Asia/Kolkata"),
            ("CST", "America/Chicago"),
            ("CEST", "Europe/Paris"),
            ("pst", "America/Los_Angeles"),
            ("est", "America/New_York"),
            ("XYZT", "use a place with that time"),
            ("CST8CDT", "America/Chicago"),
            ("MST6MDT", "America/Denver"),
            ("EST6EDT", "America/New_York"),
            ("CET-1CEST", "use a place with that time"),
            ("PST+8", "America/Los_Angeles"),
            ("PST8", "America/Los_Angeles"),
            ("EST/EDT", "America/New_York"),
        ] {
            let help = help(text).unwrap();
            assert!(
                help.starts_with("abbreviations are ambiguous: use a place") && help.contains(place),
                "{help}"
            );
        }
        for (name, _) in ABBREVIATIONS.iter().filter(|(name, _)| Zone::parse(name).is_err()) {
            assert!(help(name).unwrap().contains("use a place"), "{name}");
        }
        for (text, place) in [
            ("W. Europe Standard Time", ", such as 'Europe/Berlin'"),
            ("Eastern Standard Time", ", such as 'America/New_York'"),
            ("Eastern Daylight Time", ", such as 'America/New_York'"),
            ("Pacific Standard Time (Mexico)", ", such as 'America/Tijuana'"),
            ("Tasmania Standard Time", ", such as 'Australia/Hobart'"),
            ("Nowhere Standard Time", ""),
        ] {
            let right = format!("this is a Windows name: use a place with that time{place}");
            assert_eq!(help(text), Some(right), "{text}");
        }
        for (text, place) in [
            ("Eastern", "America/New_York"),
            ("PACIFIC", "America/Los_Angeles"),
            ("Central Europe", "Europe/Budapest"),
            ("India", "Asia/Kolkata"),
        ] {
            assert_eq!(help(text), Some(format!("use a place with that time, such as '{place}'")), "{text}");
        }
        for (name, place) in windows::PLACES {
            let is_city = place.ends_with(&format!("/{name}"));
            assert!(is_city || OF_BOTH.contains(&name) == Zone::parse(name).is_ok(), "{name}");
        }
        // Another city is no slip of the hand.
        for text in ["abcd", "Europe/Bern", "America/Boston", "America/Washington"] {
            assert_eq!(help(text), None, "{text}");
        }
    }
}
