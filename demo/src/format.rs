//! Instants, lengths of time and browsers in words.

use std::time::{Duration, SystemTime};

use session_tower::Timestamp;

/// Formats an instant as `2026-11-21 09:30:00 UTC`.
pub(crate) fn instant(at: Timestamp) -> String {
    humantime::format_rfc3339_seconds(SystemTime::from(at)).to_string().replace('T', " ").replace('Z', " UTC")
}

/// Formats an instant relative to `now`, in one unit, rounded: `in 59 minutes`, `3 days ago`.
pub(crate) fn seen_from(now: Timestamp, at: Timestamp) -> String {
    if at > now {
        format!("in {}", length(at.since(now)))
    } else {
        let ago = now.since(at);
        if ago < Duration::from_secs(1) { "just now".into() } else { format!("{} ago", length(ago)) }
    }
}

fn length(time: Duration) -> String {
    let seconds = time.as_secs();
    let rounded = |unit: u64| (seconds + unit / 2) / unit;
    let (unit, n) = match (seconds, rounded(60), rounded(3_600)) {
        (0..60, _, _) => ("second", seconds),
        (_, minutes @ 0..60, _) => ("minute", minutes),
        (_, _, hours @ 0..48) => ("hour", hours),
        _ => ("day", rounded(86_400)),
    };
    format!("{n} {unit}{}", if n == 1 { "" } else { "s" })
}

/// Returns a name for a browser that its user recognizes: `Firefox on Linux`.
pub(crate) fn browser(user_agent: &str) -> String {
    // Browsers also claim to be older browsers, so the order matters.
    const NAMES: &[(&str, &str)] = &[
        ("Edg", "Edge"),
        ("OPR/", "Opera"),
        ("Firefox/", "Firefox"),
        ("FxiOS/", "Firefox"),
        ("Chrome/", "Chrome"),
        ("CriOS/", "Chrome"),
        ("Safari/", "Safari"),
        ("curl/", "curl"),
    ];
    const SYSTEMS: &[(&str, &str)] = &[
        ("Android", "Android"),
        ("iPhone", "iPhone"),
        ("iPad", "iPad"),
        ("Windows", "Windows"),
        ("Mac OS X", "macOS"),
        ("CrOS", "ChromeOS"),
        ("Linux", "Linux"),
    ];
    let find =
        |list: &[(&str, &'static str)]| list.iter().find(|(mark, _)| user_agent.contains(mark)).map(|(_, name)| *name);
    match (find(NAMES), find(SYSTEMS)) {
        (Some(name), Some(system)) => format!("{name} on {system}"),
        (Some(one), None) => one.into(),
        (None, Some(system)) => format!("A program on {system}"),
        (None, None) => "A program".into(),
    }
}

#[cfg(test)]
mod tests {
    use session_tower::{Timestamp, days, hours, minutes, seconds};

    use super::{browser, instant, seen_from};

    #[test]
    fn instants_are_readable() {
        assert_eq!(instant(Timestamp::from_millis(1_795_253_400_999).unwrap()), "2026-11-21 09:30:00 UTC");
    }

    #[test]
    fn lengths_of_time_are_told_in_one_unit() {
        let now = Timestamp::MIN.plus(days(100));
        assert_eq!(seen_from(now, now), "just now");
        assert_eq!(seen_from(now, now.minus(seconds(1))), "1 second ago");
        assert_eq!(seen_from(now, now.plus(minutes(59))), "in 59 minutes");
        assert_eq!(seen_from(now, now.plus(hours(1)).minus(seconds(1))), "in 1 hour");
        assert_eq!(seen_from(now, now.plus(days(14)).minus(seconds(1))), "in 14 days");
        assert_eq!(seen_from(now, now.plus(hours(24))), "in 24 hours");
        assert_eq!(seen_from(now, now.minus(days(3))), "3 days ago");
    }

    #[test]
    fn browsers_are_called_what_their_users_call_them() {
        let edge = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0 Safari/537.36 Edg/120.0";
        assert_eq!(browser(edge), "Edge on Windows");
        let phone = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) AppleWebKit/605.1.15 Version/17.0 Mobile/15E148 Safari/604.1";
        assert_eq!(browser(phone), "Safari on iPhone");
        assert_eq!(
            browser("Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"),
            "Firefox on Linux"
        );
        assert_eq!(browser("curl/8.5.0"), "curl");
        assert_eq!(browser(""), "A program");
    }
}
