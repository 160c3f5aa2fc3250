//! The names that Windows and Outlook give to zones, and places where a clock shows that time: the main place of each, as
//! Unicode's CLDR has them (`windowsZones`).

/// Without " Standard Time" where nothing follows it.
#[rustfmt::skip]
pub(super) const PLACES: [(&str, &str); 140] = [
    ("Afghanistan", "Asia/Kabul"), ("Alaskan", "America/Anchorage"), ("Aleutian", "America/Adak"),
    ("Altai", "Asia/Barnaul"), ("Arab", "Asia/Riyadh"), ("Arabian", "Asia/Dubai"), ("Arabic", "Asia/Baghdad"),
    ("Argentina", "America/Argentina/Buenos_Aires"), ("Astrakhan", "Europe/Astrakhan"),
    ("Atlantic", "America/Halifax"), ("AUS Central", "Australia/Darwin"), ("Aus Central W.", "Australia/Eucla"),
    ("AUS Eastern", "Australia/Sydney"), ("Azerbaijan", "Asia/Baku"), ("Azores", "Atlantic/Azores"),
    ("Bahia", "America/Bahia"), ("Bangladesh", "Asia/Dhaka"), ("Belarus", "Europe/Minsk"),
    ("Bougainville", "Pacific/Bougainville"), ("Canada Central", "America/Regina"),
    ("Cape Verde", "Atlantic/Cape_Verde"), ("Caucasus", "Asia/Yerevan"), ("Cen. Australia", "Australia/Adelaide"),
    ("Central", "America/Chicago"), ("Central America", "America/Guatemala"), ("Central Asia", "Asia/Bishkek"),
    ("Central Brazilian", "America/Cuiaba"), ("Central Europe", "Europe/Budapest"),
    ("Central European", "Europe/Warsaw"), ("Central Pacific", "Pacific/Guadalcanal"),
    ("Central Standard Time (Mexico)", "America/Mexico_City"), ("Chatham Islands", "Pacific/Chatham"),
    ("China", "Asia/Shanghai"), ("Cuba", "America/Havana"), ("Dateline", "Etc/GMT+12"),
    ("E. Africa", "Africa/Nairobi"), ("E. Australia", "Australia/Brisbane"), ("E. Europe", "Europe/Chisinau"),
    ("E. South America", "America/Sao_Paulo"), ("Easter Island", "Pacific/Easter"), ("Eastern", "America/New_York"),
    ("Eastern Standard Time (Mexico)", "America/Cancun"), ("Egypt", "Africa/Cairo"),
    ("Ekaterinburg", "Asia/Yekaterinburg"), ("Fiji", "Pacific/Fiji"), ("FLE", "Europe/Kyiv"),
    ("Georgian", "Asia/Tbilisi"), ("GMT", "Europe/London"), ("Greenland", "America/Nuuk"),
    ("Greenwich", "Atlantic/Reykjavik"), ("GTB", "Europe/Bucharest"), ("Haiti", "America/Port-au-Prince"),
    ("Hawaiian", "Pacific/Honolulu"), ("India", "Asia/Kolkata"), ("Iran", "Asia/Tehran"),
    ("Israel", "Asia/Jerusalem"), ("Jordan", "Asia/Amman"), ("Kaliningrad", "Europe/Kaliningrad"),
    ("Korea", "Asia/Seoul"), ("Libya", "Africa/Tripoli"), ("Line Islands", "Pacific/Kiritimati"),
    ("Lord Howe", "Australia/Lord_Howe"), ("Magadan", "Asia/Magadan"), ("Magallanes", "America/Punta_Arenas"),
    ("Marquesas", "Pacific/Marquesas"), ("Mauritius", "Indian/Mauritius"), ("Mid-Atlantic", "Etc/GMT+2"),
    ("Middle East", "Asia/Beirut"), ("Montevideo", "America/Montevideo"), ("Morocco", "Africa/Casablanca"),
    ("Mountain", "America/Denver"), ("Mountain Standard Time (Mexico)", "America/Mazatlan"),
    ("Myanmar", "Asia/Yangon"), ("N. Central Asia", "Asia/Novosibirsk"), ("Namibia", "Africa/Windhoek"),
    ("Nepal", "Asia/Kathmandu"), ("New Zealand", "Pacific/Auckland"), ("Newfoundland", "America/St_Johns"),
    ("Norfolk", "Pacific/Norfolk"), ("North Asia", "Asia/Krasnoyarsk"), ("North Asia East", "Asia/Irkutsk"),
    ("North Korea", "Asia/Pyongyang"), ("Omsk", "Asia/Omsk"), ("Pacific", "America/Los_Angeles"),
    ("Pacific SA", "America/Santiago"), ("Pacific Standard Time (Mexico)", "America/Tijuana"),
    ("Pakistan", "Asia/Karachi"), ("Paraguay", "America/Asuncion"), ("Qyzylorda", "Asia/Qyzylorda"),
    ("Romance", "Europe/Paris"), ("Russia Time Zone 10", "Asia/Srednekolymsk"),
    ("Russia Time Zone 11", "Asia/Kamchatka"), ("Russia Time Zone 3", "Europe/Samara"), ("Russian", "Europe/Moscow"),
    ("SA Eastern", "America/Cayenne"), ("SA Pacific", "America/Bogota"), ("SA Western", "America/La_Paz"),
    ("Saint Pierre", "America/Miquelon"), ("Sakhalin", "Asia/Sakhalin"), ("Samoa", "Pacific/Apia"),
    ("Sao Tome", "Africa/Sao_Tome"), ("Saratov", "Europe/Saratov"), ("SE Asia", "Asia/Bangkok"),
    ("Singapore", "Asia/Singapore"), ("South Africa", "Africa/Johannesburg"), ("South Sudan", "Africa/Juba"),
    ("Sri Lanka", "Asia/Colombo"), ("Sudan", "Africa/Khartoum"), ("Syria", "Asia/Damascus"),
    ("Taipei", "Asia/Taipei"), ("Tasmania", "Australia/Hobart"), ("Tocantins", "America/Araguaina"),
    ("Tokyo", "Asia/Tokyo"), ("Tomsk", "Asia/Tomsk"), ("Tonga", "Pacific/Tongatapu"), ("Transbaikal", "Asia/Chita"),
    ("Turkey", "Europe/Istanbul"), ("Turks And Caicos", "America/Grand_Turk"), ("Ulaanbaatar", "Asia/Ulaanbaatar"),
    ("US Eastern", "America/Indiana/Indianapolis"), ("US Mountain", "America/Phoenix"), ("UTC", "UTC"),
    ("UTC+12", "Etc/GMT-12"), ("UTC+13", "Etc/GMT-13"), ("UTC-02", "Etc/GMT+2"), ("UTC-08", "Etc/GMT+8"),
    ("UTC-09", "Etc/GMT+9"), ("UTC-11", "Etc/GMT+11"), ("Venezuela", "America/Caracas"),
    ("Vladivostok", "Asia/Vladivostok"), ("Volgograd", "Europe/Volgograd"), ("W. Australia", "Australia/Perth"),
    ("W. Central Africa", "Africa/Lagos"), ("W. Europe", "Europe/Berlin"), ("W. Mongolia", "Asia/Hovd"),
    ("West Asia", "Asia/Tashkent"), ("West Bank", "Asia/Hebron"), ("West Pacific", "Pacific/Port_Moresby"),
    ("Yakutsk", "Asia/Yakutsk"), ("Yukon", "America/Whitehorse"),
];

/// A place with the time of this zone of Windows: `W. Europe Standard Time`, `Eastern Daylight Time`, `Eastern Time`.
pub(crate) fn place(name: &str) -> Option<&'static str> {
    let wanted = name.to_ascii_lowercase();
    let bare = wanted.strip_suffix(" time");
    let bare =
        bare.map(|name| name.strip_suffix(" standard").or(name.strip_suffix(" daylight")).unwrap_or(name));
    let is = |known: &str| {
        known.eq_ignore_ascii_case(name) || bare.is_some_and(|bare| known.eq_ignore_ascii_case(bare))
    };
    PLACES.iter().find(|(known, _)| is(known)).map(|(_, place)| *place)
}

#[cfg(test)]
mod tests {
    use super::{super::Zone, *};

    #[test]
    fn every_place_is_a_zone_and_every_name_is_found_in_its_forms() {
        for (name, zone) in PLACES {
            assert_eq!(Zone::parse(zone).unwrap().name(), zone);
            assert_eq!(place(name), Some(zone));
            assert_eq!(place(&format!("{name} Standard Time")), Some(zone), "{name}");
        }
        assert_eq!(place("Eastern Daylight Time"), Some("America/New_York"));
        assert_eq!(place("eastern time"), Some("America/New_York"));
        assert_eq!(place("Pacific Standard Time (Mexico)"), Some("America/Tijuana"));
        assert_eq!(place("Nowhere Standard Time"), None);
    }
}
