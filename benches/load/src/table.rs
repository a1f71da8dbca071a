//! Figures taken again and again, and the tables they are shown in.

use std::fmt::{self, Write as _};

/// One figure, taken several times.
#[derive(Clone, Debug, Default)]
pub(crate) struct Series(Vec<f64>);

impl Series {
    pub(crate) fn add(&mut self, figure: f64) {
        self.0.push(figure);
    }

    /// The one in the middle, or between the two there; 0 if there is none.
    pub(crate) fn median(&self) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        match sorted.len() {
            0 => 0.0,
            odd if odd % 2 == 1 => sorted[odd / 2],
            even => f64::midpoint(sorted[even / 2 - 1], sorted[even / 2]),
        }
    }

    /// This one to `base`, round by round: what slowed down a whole round counts for nothing.
    pub(crate) fn to(&self, base: &Self) -> Self {
        self.0
            .iter()
            .zip(&base.0)
            .map(|(this, base)| this / base)
            .collect()
    }
}

impl FromIterator<f64> for Series {
    fn from_iter<T: IntoIterator<Item = f64>>(figures: T) -> Self {
        Self(figures.into_iter().collect())
    }
}

/// The median, then the least and the most.
impl fmt::Display for Series {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let least = self.0.iter().copied().fold(f64::INFINITY, f64::min);
        let most = self.0.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        match self.0.len() {
            0 => f.write_str("–"),
            1 => f.write_str(&short(least)),
            _ => write!(f, "{} ({}–{})", short(self.median()), short(least), short(most)),
        }
    }
}

/// A number with three or four digits that count.
pub(crate) fn short(number: f64) -> String {
    let size = number.abs();
    if size >= 100.0 {
        grouped(number)
    } else if size >= 10.0 {
        format!("{number:.1}")
    } else if size >= 0.0995 || size == 0.0 {
        format!("{number:.2}")
    } else {
        format!("{number:.4}")
    }
}

/// Bytes, in MiB.
pub(crate) fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

fn grouped(number: f64) -> String {
    let digits = format!("{number:.0}");
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}

/// A table in Markdown.
pub(crate) struct Table<const N: usize> {
    text: String,
}

impl<const N: usize> Table<N> {
    pub(crate) fn new(head: [&str; N]) -> Self {
        let mut table = Self { text: String::new() };
        table.row(head.map(str::to_owned));
        let _ = writeln!(table.text, "|{}", " --- |".repeat(N));
        table
    }

    #[expect(clippy::needless_pass_by_value, reason = "a row is made for its table")]
    pub(crate) fn row(&mut self, cells: [String; N]) {
        let _ = writeln!(self.text, "| {} |", cells.join(" | "));
    }
}

impl<const N: usize> fmt::Display for Table<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_series_shows_its_median_and_its_spread() {
        let series: Series = [41_300.0, 40_100.0, 42_000.0].into_iter().collect();
        assert_eq!(series.to_string(), "41 300 (40 100–42 000)");
        assert_eq!(
            [1.0, 2.0].into_iter().collect::<Series>().to_string(),
            "1.50 (1.00–2.00)"
        );
        assert_eq!(Series::default().to_string(), "–");
    }

    #[test]
    fn a_ratio_is_taken_round_by_round() {
        let [this, base] =
            [[90.0, 45.0, 80.0], [100.0, 50.0, 100.0]].map(|rounds| rounds.into_iter().collect::<Series>());
        assert_eq!(this.to(&base).to_string(), "0.90 (0.80–0.90)");
    }
}
