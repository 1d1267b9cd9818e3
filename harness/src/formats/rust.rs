//! A network as a Rust source file for a program with the `secant` library: the network as a
//! constant, its weights for flash, the normalisation, the names of the classes.

use secant::network::Layer;

use super::{layers, rows_of_floats};
use crate::trained::Trained;

/// The source file.
///
/// # Errors
/// One phrase that names a layer which cannot be written so.
pub fn source(trained: &Trained) -> Result<String, String> {
    let mut calls = String::new();
    let mut count = 0;
    for parts in layers(trained) {
        calls.push_str(&format!("        {},\n", call(&parts.layer)?));
        count += 1;
    }
    let input = trained.task.input;
    let maps: String = trained
        .scalings
        .iter()
        .map(|map| {
            format!(
                "    Affine {{\n        scale: {:?},\n        offset: {:?},\n    }},\n",
                map.scale, map.offset
            )
        })
        .collect();
    let mut text = format!(
        "//! The network '{}', trained by secant {}. Written by 'secant export'.\n\n\
         use secant::Affine;\n\
         use secant::network::{{self, Network, Shape}};\n\n\
         /// The network.\n\
         #[rustfmt::skip]\n\
         pub const NETWORK: Network<'static, {count}> = Network::new(\n    \
         Shape::new({}, {}, {}),\n    [\n{calls}    ],\n);\n\n\
         /// From elements of a sample to its inputs, for each channel or for all of them.\n\
         #[rustfmt::skip]\n\
         pub static NORMALISATION: [Affine; {}] = [\n{maps}];\n",
        trained.model.spec,
        env!("CARGO_PKG_VERSION"),
        input.channels,
        input.rows,
        input.columns,
        trained.scalings.len(),
    );
    if !trained.target_scalings.is_empty() {
        text.push_str(&format!(
            "\n/// A number to predict is `(output - offset) / scale`.\n\
             #[rustfmt::skip]\n\
             pub static NUMBERS: [Affine; {}] = [\n",
            trained.target_scalings.len()
        ));
        for map in &trained.target_scalings {
            text.push_str(&format!(
                "    Affine {{\n        scale: {:?},\n        offset: {:?},\n    }},\n",
                map.scale, map.offset
            ));
        }
        text.push_str("];\n");
    }
    if !trained.names.is_empty() {
        text.push_str(&format!(
            "\n/// Names of the classes, by label.\n#[rustfmt::skip]\npub const CLASSES: [&str; {}] = [\n",
            trained.names.len()
        ));
        for name in &trained.names {
            text.push_str(&format!("    {name:?},\n"));
        }
        text.push_str("];\n");
    }
    text.push_str(&format!(
        "\n/// Weights and biases, layer by layer.\n\
         #[rustfmt::skip]\n\
         pub static WEIGHTS: [f32; {}] = [\n{}];\n",
        trained.parameters.len(),
        rows_of_floats(&trained.parameters, "")
    ));
    Ok(text)
}

/// The call that makes a layer.
fn call(layer: &Layer) -> Result<String, String> {
    let kernel = |[rows, columns]: [usize; 2]| match rows == columns {
        true => String::new(),
        false => format!(".kernel({rows}, {columns})"),
    };
    let strides = |[rows, columns]: [usize; 2], usual: [usize; 2]| match [rows, columns] == usual {
        true => String::new(),
        false => format!(".strides({rows}, {columns})"),
    };
    let paddings = |[rows, columns]: [usize; 2]| match [rows, columns] {
        [0, 0] => String::new(),
        _ => format!(".paddings({rows}, {columns})"),
    };
    let call = match layer {
        Layer::Conv2d(conv) => format!(
            "conv2d({}, {}){}{}{}",
            conv.outputs,
            conv.kernel[0],
            kernel(conv.kernel),
            strides(conv.stride, [1, 1]),
            paddings(conv.padding)
        ),
        Layer::DepthwiseConv2d(conv) => format!(
            "depthwise_conv2d({}){}{}{}",
            conv.kernel[0],
            kernel(conv.kernel),
            strides(conv.stride, [1, 1]),
            paddings(conv.padding)
        ),
        Layer::MaxPool2d(pool) => format!(
            "max_pool2d({}){}{}",
            pool.size[0],
            kernel(pool.size),
            strides(pool.stride, [pool.size[0]; 2])
        ),
        Layer::AvgPool2d(pool) => format!(
            "avg_pool2d({}){}{}",
            pool.size[0],
            kernel(pool.size),
            strides(pool.stride, [pool.size[0]; 2])
        ),
        Layer::Linear(linear) => format!("linear({})", linear.outputs),
        Layer::Relu => "relu()".to_owned(),
        Layer::LeakyRelu(slope) => format!("leaky_relu({slope:?})"),
        Layer::Tanh => "tanh()".to_owned(),
        Layer::Sigmoid => "sigmoid()".to_owned(),
        Layer::GlobalAvgPool2d => "global_avg_pool2d()".to_owned(),
        Layer::Dropout(probability) => format!("dropout({probability:?})"),
        Layer::GroupNorm(norm) => format!("group_norm({})", norm.groups),
        layer => return Err(format!("no call is known for layer {}", layer.name())),
    };
    Ok(format!("network::{call}"))
}
