//! What most definitions say, in one byte each.

/// What usually stands between two values of a definition; each one's place is the byte that stands for it (JSON
/// has no bytes below 32 in it). What is not here only takes more room.
pub(super) const USUAL: [&str; 24] = [
    "\"}",
    ",\"every\":\"",
    ",\"cron\":\"",
    ",\"at\":\"",
    "\",\"time_zone\":\"",
    "\",\"phase\":\"",
    "\",\"anchor\":\"",
    "\",\"from\":\"",
    "\",\"until\":\"",
    ",\"dst\":{",
    ",\"catch_up\":{\"",
    "policy\":\"latest\"",
    "policy\":\"all\"",
    "policy\":\"none\"",
    "\"grace\":\"",
    "\"within\":\"",
    "\"most\":",
    ",\"past\":\"send\"",
    ",\"unrouted\":\"park\"",
    ",\"paused\":true",
    ",\"expires\":\"",
    "Europe/",
    "America/",
    ":00.000Z",
];
