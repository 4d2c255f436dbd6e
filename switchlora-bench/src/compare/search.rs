//! The search for the learning rates of a variant: one for projections or factors, one for everything else.
//!
//! A compass search on a lattice of ratios. From the best rates so far, each rate is tried half a decade higher and
//! lower, the other as it is; then both; then the same in quarters of a decade. Whatever is better becomes the place to
//! go on from. So there is no grid whose edge could hide a better value, and every variant takes the same number of
//! trainings, which a grid that grows would not.

use serde::{Deserialize, Serialize};

/// Steps of a decade on the fine lattice.
const STEPS: i32 = 4;
/// The first distance, half a decade.
const COARSE: i32 = 2;
/// The second distance.
const FINE: i32 = 1;

/// Peak learning rates of the two groups of parameters.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rates {
    /// Of embeddings, norms and head.
    pub lr: f64,
    /// Of factors, and of the projections' weights in methods without factors.
    pub projection_lr: f64,
}

/// A place on the lattice: steps away from the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Place {
    projections: i32,
    others: i32,
}

impl Place {
    /// The places at a distance from here: along one axis, then along both; along the diagonal only if the rates are
    /// `one`.
    fn around(self, distance: i32, one: bool) -> Vec<Self> {
        let cross = [(1, 0), (-1, 0), (0, 1), (0, -1)];
        let corners = [(1, 1), (-1, -1), (1, -1), (-1, 1)];
        let all = cross.into_iter().chain(corners);
        let all = all.filter(|(projections, others)| !one || projections == others);
        let places = all.map(|(projections, others)| Self {
            projections: self.projections + projections * distance,
            others: self.others + others * distance,
        });
        places.collect()
    }

    fn is_coarse(self) -> bool {
        self.projections % COARSE == 0 && self.others % COARSE == 0
    }
}

/// What was tried, in order, and how well it did.
#[derive(Clone, Debug)]
pub(super) struct Search {
    start: Rates,
    /// Whether both groups have one rate.
    one: bool,
    tried: Vec<(Place, f64)>,
}

impl Search {
    /// A search that begins with these rates; `one` keeps both in the same ratio.
    pub fn new(start: Rates, one: bool) -> Self {
        Self {
            start,
            one,
            tried: Vec::new(),
        }
    }

    /// The rates to try next; `None` if everything around the best ones has been tried.
    pub fn next(&self) -> Option<Rates> {
        self.next_place().map(|place| self.rates(place))
    }

    /// Takes the loss that the [next](Self::next) rates gave.
    pub fn tried(&mut self, loss: f64) {
        if let Some(place) = self.next_place() {
            self.tried.push((place, loss));
        }
    }

    /// The best rates so far: those of the start before anything was tried.
    pub fn best(&self) -> Rates {
        self.rates(self.best_place())
    }

    /// Whether each rate was also tried higher and lower than in the best rates, at most half a decade away.
    pub fn is_enclosed(&self) -> bool {
        let best = self.best_place();
        let directions: &[(i32, i32)] = match self.one {
            true => &[(1, 1), (-1, -1)],
            false => &[(1, 0), (-1, 0), (0, 1), (0, -1)],
        };
        directions.iter().all(|(projections, others)| {
            self.tried.iter().any(|(place, _)| {
                let away = [
                    place.projections - best.projections,
                    place.others - best.others,
                ];
                let beyond = away[0] * projections > 0 || away[1] * others > 0;
                beyond && away.iter().all(|steps| steps.abs() <= COARSE)
            })
        })
    }

    fn next_place(&self) -> Option<Place> {
        if self.tried.is_empty() {
            return Some(Place::default());
        }
        let best = self.best_place();
        let distances: &[i32] = match best.is_coarse() {
            true => &[COARSE, FINE],
            false => &[FINE],
        };
        let places = distances.iter().flat_map(|&d| best.around(d, self.one));
        let mut open = places.filter(|place| self.tried.iter().all(|(tried, _)| tried != place));
        open.next()
    }

    fn best_place(&self) -> Place {
        let best = self.tried.iter().min_by(|a, b| a.1.total_cmp(&b.1));
        best.map(|(place, _)| *place).unwrap_or_default()
    }

    /// The start times a power of ten, in two digits, so that a person can type it.
    fn rates(&self, place: Place) -> Rates {
        let at = |start: f64, steps: i32| match steps {
            0 => start,
            _ => in_two_digits(start * 10f64.powf(f64::from(steps) / f64::from(STEPS))),
        };
        Rates {
            lr: at(self.start.lr, place.others),
            projection_lr: at(self.start.projection_lr, place.projections),
        }
    }
}

fn in_two_digits(value: f64) -> f64 {
    format!("{value:.1e}").parse().unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const START: Rates = Rates {
        lr: 1e-2,
        projection_lr: 3e-3,
    };

    /// Searches in a bowl whose bottom is at these places of the lattice, which need not be on it.
    fn searched(bottom: [f64; 2], one: bool, trainings: usize) -> (Search, Vec<Rates>) {
        let (mut search, mut all) = (Search::new(START, one), Vec::new());
        for _ in 0..trainings {
            let Some(rates) = search.next() else { break };
            let steps = |rate: f64, start: f64| 4.0 * (rate / start).log10();
            let away = [
                steps(rates.projection_lr, START.projection_lr) - bottom[0],
                steps(rates.lr, START.lr) - bottom[1],
            ];
            search.tried(away[0].powi(2) + 0.3 * away[0] * away[1] + 0.5 * away[1].powi(2));
            all.push(rates);
        }
        (search, all)
    }

    proptest! {
        #[test]
        fn the_bottom_of_a_bowl_is_found_to_a_step_and_enclosed(projections in -6.0..6.0f64, others in -6.0..6.0f64) {
            let (search, all) = searched([projections, others], false, 60);
            let best = search.best();
            let away = [4.0 * (best.projection_lr / START.projection_lr).log10() - projections,
                4.0 * (best.lr / START.lr).log10() - others];
            prop_assert!(away.iter().all(|steps| steps.abs() < 1.2), "{:?}", away);
            prop_assert!(search.is_enclosed());
            for (at, rates) in all.iter().enumerate() {
                prop_assert!(!all[..at].contains(rates), "{:?} was tried twice", rates);
            }
        }

        #[test]
        fn one_rate_for_both_groups_stays_one(projections in -6.0..6.0f64, others in -6.0..6.0f64) {
            let start = Rates { lr: 1e-2, projection_lr: 1e-2 };
            let mut search = Search::new(start, true);
            for _ in 0..12 {
                let Some(rates) = search.next() else { break };
                prop_assert_eq!(rates.lr, rates.projection_lr);
                search.tried((4.0 * (rates.lr / 1e-2).log10() - projections + others).powi(2));
            }
            prop_assert!(search.is_enclosed() || (projections - others).abs() > 9.0);
        }
    }

    #[test]
    fn rates_are_numbers_that_a_person_can_type_and_the_first_are_the_start() {
        let (_, all) = searched([4.0, 0.0], false, 4);
        let rates = |lr, projection_lr| Rates { lr, projection_lr };
        assert_eq!(
            all,
            [
                START,
                rates(1e-2, 9.5e-3),
                rates(1e-2, 3e-2),
                rates(1e-2, 9.5e-2)
            ]
        );
    }

    #[test]
    fn a_search_that_ends_on_its_way_is_not_enclosed() {
        assert!(!searched([8.0, 0.0], false, 3).0.is_enclosed());
        assert!(!searched([0.0, 0.0], false, 4).0.is_enclosed());
        assert!(searched([0.0, 0.0], false, 5).0.is_enclosed());
    }

    #[test]
    fn trainings_that_diverge_are_never_the_best() {
        let mut search = Search::new(START, false);
        search.tried(f64::INFINITY);
        search.tried(f64::NAN);
        search.tried(5.0);
        assert_eq!(
            search.best().projection_lr,
            in_two_digits(3e-3 / 10f64.sqrt())
        );
    }
}
