//! The name of the device that a user signed in from.

use std::fmt;

/// A device in a few words, such as `Firefox on Linux` or `curl`, so that users can tell their own sessions apart. The client
/// states it, so it proves nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device(Box<str>);

/// Browsers, by a mark in the `User-Agent`. A browser that also writes the mark of another one stands before that one.
const BROWSERS: [(&str, &str); 9] = [
    ("Edg", "Edge"),
    ("OPR/", "Opera"),
    ("SamsungBrowser/", "Samsung Internet"),
    ("FxiOS/", "Firefox"),
    ("Firefox/", "Firefox"),
    ("CriOS/", "Chrome"),
    ("Chromium/", "Chromium"),
    ("Chrome/", "Chrome"),
    ("Safari/", "Safari"),
];

/// Operating systems, in the same way.
const SYSTEMS: [(&str, &str); 7] = [
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Android", "Android"),
    ("Windows", "Windows"),
    ("CrOS", "ChromeOS"),
    ("Mac OS X", "macOS"),
    ("Linux", "Linux"),
];

/// The longest name of a device, in characters.
const MAX_CHARS: usize = 64;

impl Device {
    /// The device with the `User-Agent` (RFC 9110, section 10.1.5) `text`: its browser and system if they are known, else the
    /// first product that it names. Returns `None` if it names none.
    #[must_use]
    pub fn of_user_agent(text: &str) -> Option<Self> {
        let find = |known: &[(&str, &'static str)]| {
            let found = known.iter().find(|(mark, _)| text.contains(mark));
            found.map(|(_, name)| *name)
        };
        let name = match (find(&BROWSERS), find(&SYSTEMS)) {
            (Some(browser), Some(system)) => format!("{browser} on {system}"),
            (Some(browser), None) => browser.to_owned(),
            (None, _) => text.split(['/', ' ', '(']).next()?.to_owned(),
        };
        Self::parse(&name)
    }

    /// The device named `text`. Returns `None` unless the name has 1 to 64 characters, each a space or visible ASCII, so that
    /// none of them controls a terminal.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let good = (1..=MAX_CHARS).contains(&text.chars().count())
            && text.chars().all(|c| c == ' ' || c.is_ascii_graphic());
        good.then(|| Self(text.into()))
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_agent_becomes_a_few_words() {
        for (agent, device) in [
            (
                "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0",
                "Firefox on Linux",
            ),
            (
                "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36 Edg/142.0.0.0",
                "Edge on Windows",
            ),
            (
                "Mozilla/5.0 (Linux; Android 16; Pixel 9) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Mobile Safari/537.36",
                "Chrome on Android",
            ),
            (
                "Mozilla/5.0 (iPhone; CPU iPhone OS 19_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/19.1 Mobile/15E148 Safari/604.1",
                "Safari on iPhone",
            ),
            (
                "Mozilla/5.0 (iPhone; CPU iPhone OS 19_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) CriOS/142.0 Mobile/15E148 Safari/604.1",
                "Chrome on iPhone",
            ),
            (
                "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/19.1 Safari/605.1.15",
                "Safari on macOS",
            ),
            ("curl/8.14.1", "curl"),
            ("python-requests/2.32.5", "python-requests"),
            ("okhttp/5.1.0", "okhttp"),
            ("MyApp (build 7)", "MyApp"),
        ] {
            assert_eq!(Device::of_user_agent(agent).unwrap().as_str(), device);
        }
        for none in ["", " ", "/1.0", "\u{1b}[2J", "a\nb", &"x".repeat(65), "(comment)"] {
            assert_eq!(Device::of_user_agent(none), None, "{none:?}");
        }
    }
}
