//! A gradient that several callers compute together: the bits of one, whatever layers there are, frozen
//! or not, and nothing written but what is a caller's own.

use std::sync::{Barrier, Mutex};
use std::thread;

use secant::arch::Isa;
use secant::network::{Convolution, Network, Shape, conv2d, linear, max_pool2d, relu};
use secant::{Batch, DropoutKey, Normalisation, Samples, Share, SharedMap};

use crate::common::{CAPACITY, Case, bits, case, networks};

/// Callers that exchange by a list of what each has.
struct Callers {
    barrier: Barrier,
    parts: Vec<Mutex<Vec<f32>>>,
}

impl Callers {
    fn new(count: usize) -> Callers {
        Callers {
            barrier: Barrier::new(count),
            parts: (0..count).map(|_| Mutex::default()).collect(),
        }
    }

    fn exchange(&self, index: usize, maps: &mut [SharedMap<'_>]) {
        let ranges = |map: &SharedMap<'_>, caller| map.parts.of(caller).collect::<Vec<_>>();
        let mut own = Vec::new();
        for map in maps.iter() {
            for range in ranges(map, index) {
                own.extend_from_slice(&map.values[range]);
            }
            // All of the map is somebody's, and nobody's twice.
            let mut all: Vec<_> = (0..self.parts.len())
                .flat_map(|caller| ranges(map, caller))
                .collect();
            all.sort_by_key(|range| (range.start, range.end));
            let end = all
                .iter()
                .filter(|range| !range.is_empty())
                .fold(0, |end, range| {
                    assert_eq!(range.start, end);
                    range.end
                });
            assert!(end <= map.values.len() && (end > 0 || map.values.is_empty()));
        }
        *self.parts[index].lock().unwrap() = own;
        self.barrier.wait();
        for caller in (0..self.parts.len()).filter(|caller| *caller != index) {
            let part = self.parts[caller].lock().unwrap();
            let mut rest = &part[..];
            for map in maps.iter_mut() {
                for range in ranges(map, caller) {
                    let (own, behind) = rest.split_at(range.len());
                    map.values[range].copy_from_slice(own);
                    rest = behind;
                }
            }
            assert!(rest.is_empty());
        }
        self.barrier.wait();
    }
}

fn compare<const LANES: usize>(
    name: &str,
    network: &Network<'_, CAPACITY>,
    parameters: &[f32],
    case: &Case,
    count: usize,
) -> usize {
    let normalisation = Normalisation::standard(76.5, 51.0);
    let samples = Samples::bytes(&case.pixels, &case.labels, normalisation);
    let key = DropoutKey { seed: 4, step: 7 };
    let batch = Batch::new(samples, &[2, 0, 4, 1, 3])
        .weight(0.2)
        .dropout(Some(key));
    let mut whole = vec![0.0; parameters.len()];
    let mut workspace = vec![f32::NAN; network.workspace_len(LANES)];
    let tally = network
        .gradient::<LANES>(parameters, batch, &mut whole, &mut workspace)
        .unwrap();
    let callers = Callers::new(count);
    let one = |index| {
        let (mut gradient, mut exchanges, mut shown) = (vec![f32::NAN; parameters.len()], 0, 0);
        let mut workspace = vec![f32::NAN; network.shared_workspace_len(LANES, count)];
        let mut exchange = |maps: &mut [SharedMap<'_>]| {
            exchanges += 1;
            callers.exchange(index, maps);
        };
        let mut observe = |_: secant::LayerInputs<'_>, scratch: &mut [f32]| {
            scratch.fill(f32::NAN);
            shown += 1;
        };
        let share = Share::new(index, count, &mut exchange);
        let found = network
            .shared_gradient::<LANES>(
                parameters,
                batch,
                &mut gradient,
                &mut workspace,
                share,
                (index == 0).then_some(&mut observe),
            )
            .unwrap();
        assert_eq!(found, tally, "{name}");
        assert_eq!(shown > 0, index == 0 && !parameters.is_empty(), "{name}");
        (gradient, exchanges)
    };
    let one = &one;
    let found: Vec<_> = thread::scope(|scope| {
        let threads: Vec<_> = (0..count)
            .map(|index| scope.spawn(move || one(index)))
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect()
    });
    let mut end = 0;
    network.gradient_shares::<LANES>(count, |caller, range| {
        assert_eq!(range.start, end, "{name}");
        end = range.end;
        for (index, (gradient, _)) in found.iter().enumerate() {
            let own = &gradient[range.clone()];
            if index == caller {
                assert_eq!(
                    bits(own),
                    bits(&whole[range.clone()]),
                    "{name}, {count} callers"
                );
            } else {
                assert!(own.iter().all(|g| g.is_nan()), "{name}, {count} callers");
            }
        }
    });
    assert_eq!(end, parameters.len());
    found[0].1
}

#[test]
fn several_callers_have_the_bits_of_one() {
    let mut cases = networks();
    // One channel within the network, a layer of more weights than channels, and few channels for
    // many callers.
    let narrow = vec![
        conv2d(1, 3).padding(1),
        relu(),
        conv2d(40, 3).padding(1),
        relu(),
        linear(70),
        relu(),
        linear(3),
    ];
    cases.push(("narrow", Shape::new(2, 9, 8), narrow));
    // The same with a pool behind, in several bands of tiles.
    let pooled = vec![
        conv2d(1, 3),
        conv2d(48, 3),
        relu(),
        max_pool2d(2),
        linear(3),
    ];
    cases.push(("narrow, with a pool", Shape::new(1, 44, 40), pooled));
    let mut exchanges = 0;
    for (name, input, layers) in cases {
        let case = case(input, &layers);
        for isa in Isa::ALL {
            if isa == Isa::Baseline && isa != Isa::detect() || Isa::force(isa).is_err() {
                continue;
            }
            for algorithm in [Convolution::Direct, Convolution::Winograd] {
                let network = case.network.with_convolution(algorithm);
                for count in [1, 2, 3, 5] {
                    let parameters = &case.parameters;
                    exchanges += compare::<16>(name, &network, parameters, &case, count);
                    exchanges += compare::<4>(name, &network, parameters, &case, count);
                }
                for frozen in 1..=layers.len() {
                    let (weights, head) =
                        case.parameters.split_at(network.parameter_offset(frozen));
                    let network = network.try_freeze(frozen, weights).unwrap();
                    compare::<16>(name, &network, head, &case, 3);
                }
            }
        }
        Isa::force(Isa::detect()).unwrap();
    }
    assert!(exchanges > 100, "{exchanges}");
}

#[test]
fn what_does_not_fit_is_refused_before_an_exchange() {
    let (_, input, layers) = networks().remove(0);
    let case = case(input, &layers);
    let samples = Samples::bytes(&case.pixels, &case.labels, Normalisation::UNIT);
    let batch = Batch::new(samples, &[0, 1]);
    let needed = case.network.shared_workspace_len(16, 2);
    assert!(needed > case.network.workspace_len(16));
    let mut workspace = vec![0.0; needed - 1];
    let mut gradient = vec![0.5; case.parameters.len()];
    let mut exchange = |_: &mut [SharedMap<'_>]| panic!("nothing is to be exchanged");
    let share = Share::new(1, 2, &mut exchange);
    let refused = case.network.shared_gradient::<16>(
        &case.parameters,
        batch,
        &mut gradient,
        &mut workspace,
        share,
        None,
    );
    assert!(refused.is_err() && gradient.iter().all(|g| *g == 0.5));
}
