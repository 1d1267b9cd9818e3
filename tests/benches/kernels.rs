//! The gradient, and each pass of each layer that multiplies, timed by Criterion: 16 samples on one
//! thread. `secant bench` relates the same passes to the machine's peak in one run; this keeps the
//! samples, and compares with the run before.
//!
//! ```text
//! cargo bench -p secant-tests --bench kernels                       # every preset
//! cargo bench -p secant-tests --bench kernels -- 'micro/.*/forward'
//! SECANT_ISA=baseline cargo bench -p secant-tests --bench kernels
//! ```
//!
//! Time is wall time: on a busy machine compare the fastest samples only, or instructions (`--bench
//! instructions`).

use std::process::ExitCode;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput};
use secant::network::presets::{LENET, MICRO, SEED, TWO_C_TWO_D};
use secant::network::{Init, Network};
use secant::{Batch, DropoutKey, Normalisation, Random, Samples, StagePass};
use secant_harness::cli::choose_isa;
use secant_harness::workspace::Workspace;

/// Samples side by side.
const LANES: usize = 16;

fn main() -> ExitCode {
    if let Err(error) = choose_isa() {
        eprintln!("kernels: {error}");
        return ExitCode::from(error.exit_code());
    }
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
        .configure_from_args();
    passes("micro", &MICRO, &mut criterion);
    passes("lenet", &LENET, &mut criterion);
    passes("seed", &SEED, &mut criterion);
    passes("2c2d", &TWO_C_TWO_D, &mut criterion);
    criterion.final_summary();
    ExitCode::SUCCESS
}

/// The gradient of a network, then the passes of each layer.
fn passes<const N: usize>(name: &str, network: &Network<N>, criterion: &mut Criterion) {
    let mut random = Random::new(7, 0);
    let mut pixels = vec![0; LANES * network.input().len()];
    pixels.fill_with(|| random.below(256) as u8);
    let labels: Vec<u8> = (0..LANES).map(|i| (i % 10) as u8).collect();
    let indices: Vec<u32> = (0..LANES as u32).collect();
    let batch = Batch::new(
        Samples::bytes(&pixels, &labels, Normalisation::standard(127.5, 76.5)),
        &indices,
    )
    .weight(1.0 / LANES as f32)
    .dropout(Some(DropoutKey { seed: 3, step: 0 }));
    let mut parameters = vec![0.0; network.parameter_count()];
    network.initialise(Init::PyTorch, &mut random, &mut parameters);
    let mut gradient = vec![0.0; parameters.len()];
    // At a cache line, as the engine's.
    let mut workspace = Workspace::new(network.workspace_len(LANES));
    let workspace = workspace.floats();
    // All passes first, so that the workspace holds what each one would find.
    network
        .accumulate_gradient::<LANES>(&parameters, batch, &mut gradient, workspace)
        .expect("the images belong to the network");

    let mut group = criterion.benchmark_group(name);
    let stages = network.stages();
    let operations: usize = stages
        .map(|stage| 2 * stage.passes * stage.multiply_accumulates * LANES)
        .sum();
    group.throughput(Throughput::Elements(operations as u64));
    group.bench_function("gradient", |bencher| {
        bencher.iter(|| {
            network.accumulate_gradient::<LANES>(&parameters, batch, &mut gradient, workspace)
        });
    });
    group.finish();

    for (s, stage) in network.stages().enumerate() {
        if stage.multiply_accumulates == 0 {
            continue;
        }
        let first = stage.layers.start;
        let layer = format!("{name}/{} {}", first + 1, network.layers()[first].name());
        let mut group = criterion.benchmark_group(layer);
        let mut kinds = vec![
            ("forward", StagePass::Forward),
            ("weight_gradient", StagePass::WeightGradient),
        ];
        // The first layer's input gradient is not computed.
        if stage.passes > 2 {
            kinds.push(("input_gradient", StagePass::InputGradient));
        }
        for (name, pass) in kinds {
            // Two operations for each multiply-accumulate that a result needs.
            let operations = 2 * stage.multiply_accumulates * LANES;
            group.throughput(Throughput::Elements(operations as u64));
            group.bench_function(BenchmarkId::from_parameter(name), |bencher| {
                bencher.iter(|| {
                    network.run_stage::<LANES>(
                        s,
                        pass,
                        &parameters,
                        batch,
                        &mut gradient,
                        workspace,
                    )
                });
            });
        }
        group.finish();
    }
}
