//! What was probably meant by a text that is not the name of a zone. Nothing is guessed from the letters of an
//! abbreviation: 'PST' has nothing to do with 'EST', and most of them are the time of several places.

use super::distance;
use chrono_tz::TZ_VARIANTS;
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

/// Texts are not looked at beyond so many bytes; the longest name has 32.
const LONGEST: usize = 40;
/// Whole hours from UTC for which there is a zone without a place.
const HOURS: std::ops::RangeInclusive<i32> = -12..=14;

/// What to write instead of a text that is not the name of a zone, as far as that can be said.
pub(super) fn meant(text: &str) -> Option<String> {
    if text.len() > LONGEST {
        return None;
    }
    let bare = text.trim();
    if bare.eq_ignore_ascii_case("z") {
        return Some("write 'UTC'".to_owned());
    }
    if let Some(help) = from_utc(bare).or_else(|| known_abbreviation(bare)) {
        return Some(help);
    }
    let folded = bare.to_ascii_lowercase().replace(' ', "_");
    let did_you_mean = |name: &str| format!("did you mean '{name}'?");
    if let Some(name) = same_letters(&folded) {
        return Some(did_you_mean(name));
    }
    if bare.ends_with(" Time") {
        return Some("this is a name of Windows: take a place, such as 'Europe/Paris'".to_owned());
    }
    if bare.len() <= 5 && bare.bytes().all(|byte| byte.is_ascii_uppercase()) {
        return Some(ambiguous(&["Europe/Paris"]));
    }
    near(&folded).map(did_you_mean)
}

/// `GMT+2`, `UTC-05:30`, `+02:00`: IANA's names have the sign the other way round.
fn from_utc(text: &str) -> Option<String> {
    let upper = text.to_ascii_uppercase();
    let rest = ["GMT", "UTC", "UT"].iter().find_map(|name| upper.strip_prefix(name)).unwrap_or(&upper);
    let (sign, rest) = match rest.trim_start().split_at_checked(1)? {
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
    let place = if sign > 0 { "Europe/Paris" } else { "America/New_York" };
    let place = format!("a place, such as '{place}', which follows its summer time");
    let hours: i32 = sign * hours.parse::<i32>().ok()?;
    Some(match hours {
        0 if minutes.parse() == Ok(0) => "write 'UTC'".to_owned(),
        _ if minutes.parse() != Ok(0) || !HOURS.contains(&hours) => format!("take {place}"),
        hours => {
            let (turned, side) = if hours > 0 { ('-', "ahead of") } else { ('+', "behind") };
            let n = hours.abs();
            let unit = if n == 1 { "hour" } else { "hours" };
            format!(
                "the names of IANA have the sign turned round: {n} {unit} {side} UTC is 'Etc/GMT{turned}{n}'; or take {place}"
            )
        }
    })
}

fn known_abbreviation(text: &str) -> Option<String> {
    let known = ABBREVIATIONS.iter().find(|(name, _)| name.eq_ignore_ascii_case(text))?;
    Some(ambiguous(known.1))
}

fn ambiguous(places: &[&str]) -> String {
    format!("abbreviations are ambiguous: take a place, such as '{}'", places.join("' or '"))
}

/// The same name, or the same city, in other letters: "Etc/Paris" and plain "paris".
fn same_letters(folded: &str) -> Option<&'static str> {
    let city = |name: &'static str| name.rsplit('/').next().unwrap_or_default();
    let wanted = folded.rsplit('/').next().unwrap_or_default();
    let mut names = TZ_VARIANTS.iter().map(|zone| zone.name());
    // A region's own folder is the better answer than an old alias.
    let of_city = names.clone().filter(|name| city(name).eq_ignore_ascii_case(wanted));
    let of_city = of_city.max_by_key(|name| name.len());
    names.find(|name| name.eq_ignore_ascii_case(folded)).or(of_city)
}

/// A name that is a few letters off; so few letters as an abbreviation has are no ground for a guess.
fn near(folded: &str) -> Option<&'static str> {
    if folded.len() < 5 {
        return None;
    }
    let allowed = 1 + folded.len() / 6;
    let names = TZ_VARIANTS.iter().map(|zone| zone.name());
    let names = names.filter(|name| name.len().abs_diff(folded.len()) <= allowed);
    let far = names.map(|name| (distance(&name.to_ascii_lowercase(), folded), Reverse(name.len()), name));
    far.min().filter(|(far, ..)| *far <= allowed).map(|(.., name)| name)
}

#[cfg(test)]
mod tests {
    use super::{super::Zone, *};

    fn help(text: &str) -> Option<String> {
        assert!(text.parse::<chrono_tz::Tz>().is_err(), "{text}");
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
        ] {
            let help = help(text).unwrap();
            assert!(
                help.contains(name) && help.contains("sign") && help.contains("take a place"),
                "{text}: {help}"
            );
        }
        for (text, right) in [
            ("UTC+5:30", "take a place, such as 'Europe/Paris', which follows its summer time"),
            ("GMT+15", "take a place, such as 'Europe/Paris', which follows its summer time"),
            ("UTC+0", "write 'UTC'"),
            ("Z", "write 'UTC'"),
        ] {
            assert_eq!(help(text).as_deref(), Some(right), "{text}");
        }
        // The zones that are named are what is said of them.
        let offset = |name: &str| Zone::parse(name).unwrap().segments().last().unwrap().offset;
        assert_eq!((offset("Etc/GMT-2"), offset("Etc/GMT+5")), (2 * 3_600_000, -5 * 3_600_000));
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
            ("XYZT", "Europe/Paris"),
        ] {
            let help = help(text).unwrap();
            assert!(
                help.starts_with("abbreviations are ambiguous: take a place") && help.contains(place),
                "{help}"
            );
        }
        for (name, _) in ABBREVIATIONS.iter().filter(|(name, _)| name.parse::<chrono_tz::Tz>().is_err()) {
            assert!(help(name).unwrap().contains("take a place"), "{name}");
        }
        assert!(help("W. Europe Standard Time").unwrap().contains("a name of Windows"));
        assert_eq!(help("abcd"), None);
    }
}
