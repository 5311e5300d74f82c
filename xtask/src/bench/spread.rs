//! Median and spread of what was measured.

use serde::Serialize;

#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Spread {
    pub least: f64,
    pub p10: f64,
    pub median: f64,
    pub p90: f64,
}

impl Spread {
    /// By nearest rank; none of nothing.
    pub fn of(values: &[f64]) -> Option<Self> {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        let last = sorted.len().checked_sub(1)?;
        let at = |percent: usize| sorted[(last * percent).div_ceil(100)];
        Some(Self {
            least: sorted[0],
            p10: at(10),
            median: at(50),
            p90: at(90),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_of_the_values_does_not_matter() {
        let values: Vec<f64> = (0..=100).rev().map(f64::from).collect();
        let wanted = Spread {
            least: 0.0,
            p10: 10.0,
            median: 50.0,
            p90: 90.0,
        };
        assert_eq!(Spread::of(&values), Some(wanted));
        assert_eq!(Spread::of(&[3.0]).map(|s| s.p90), Some(3.0));
        assert_eq!(Spread::of(&[]), None);
    }
}
