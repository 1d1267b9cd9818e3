//! A network as C99 without a library: weights for flash, the normalisation, and a function that
//! predicts one sample at a time with the order of sums that devices have here, so with the same
//! bits.

mod functions;

use secant::network::Layer;

use super::{LayerParts, layers, rows_of_floats};
use crate::trained::Trained;
use functions::{
    AVERAGE_POOL, CONVOLUTION, GROUP_NORM, LEAKY_RELU, LINEAR, MAX_POOL, RELU, SIGMOID, TANH, WORDS,
};

/// Header and source of a network called `name`, which is a C identifier.
///
/// # Errors
/// One phrase that names a layer which is not written in C.
pub fn sources(trained: &Trained, name: &str) -> Result<(String, String), String> {
    Ok((header(trained, name), source(trained, name)?))
}

fn header(trained: &Trained, name: &str) -> String {
    let guard = format!("{}_H", name.to_uppercase());
    let input = trained.task.input;
    let mut text = format!(
        "/* The network '{}', trained by secant {}. Written by 'secant export'. */\n\
         #ifndef {guard}\n#define {guard}\n\n\
         #define {upper}_INPUTS {} /* {} channels x {} rows x {} columns */\n\
         #define {upper}_OUTPUTS {}\n\n\
         /* Outputs of one sample: logits of the classes, or numbers. The input has the elements as\n   \
         the files have them, channel by channel and row by row. Not for several threads at once. */\n\
         void {name}_predict(const float input[{upper}_INPUTS], float outputs[{upper}_OUTPUTS]);\n",
        trained.model.spec,
        env!("CARGO_PKG_VERSION"),
        input.len(),
        input.channels,
        input.rows,
        input.columns,
        trained.task.outputs,
        upper = name.to_uppercase(),
    );
    if !trained.names.is_empty() {
        text.push_str(&format!(
            "\n/* Names of the classes, by label. */\nextern const char *const {name}_classes[{}_OUTPUTS];\n",
            name.to_uppercase()
        ));
    }
    text.push_str("\n#endif\n");
    text
}

fn source(trained: &Trained, name: &str) -> Result<String, String> {
    let upper = name.to_uppercase();
    let (mut functions, mut calls) = (Vec::new(), String::new());
    let mut largest = trained.task.input.len();
    // Maps go from one of two buffers to the other.
    let (mut from, mut to) = (0, 1);
    for parts in ordered(trained) {
        if let Layer::Dropout(_) = parts.layer {
            continue;
        }
        let (function, call) = call(&parts, trained.model.network.parameter_ranges(parts.index))?;
        if matches!(parts.layer, Layer::Tanh | Layer::Sigmoid) && !functions.contains(&WORDS) {
            functions.push(WORDS);
        }
        let call = call
            .replace("FROM", &format!("maps[{from}]"))
            .replace("TO", &format!("maps[{to}]"));
        calls.push_str(&format!("    {call}\n"));
        if !functions.contains(&function) {
            functions.push(function);
        }
        (from, to) = (to, from);
        largest = largest.max(parts.output.len());
    }
    let maps: String = trained
        .scalings
        .iter()
        .map(|map| format!("    {{{:?}f, {:?}f}},\n", map.scale, map.offset))
        .collect();
    let plane = trained.task.input.rows * trained.task.input.columns;
    let map = match trained.scalings.len() {
        1 => "0".to_owned(),
        _ => format!("i / {plane}"),
    };
    let mut text = format!(
        "/* Written by 'secant export'; C99, wants fmaf and sqrtf of math.h. */\n\
         #include \"{name}.h\"\n\n#include <math.h>\n#include <stdint.h>\n\n\
         /* Scale and offset of the elements, for each channel or for all. */\n\
         static const float NORMALISATION[{}][2] = {{\n{maps}}};\n\n\
         static float maps[2][{largest}];\n\n",
        trained.scalings.len(),
    );
    // C has no arrays of nothing.
    if !trained.parameters.is_empty() {
        text.push_str(&format!(
            "static const float WEIGHTS[{}] = {{\n{}}};\n\n",
            trained.parameters.len(),
            rows_of_floats(&trained.parameters, "f")
        ));
    }
    if !trained.names.is_empty() {
        text.push_str(&format!(
            "const char *const {name}_classes[{upper}_OUTPUTS] = {{\n"
        ));
        for class in &trained.names {
            text.push_str(&format!("    \"{}\",\n", class.escape_default()));
        }
        text.push_str("};\n\n");
    }
    text.push_str(&functions.join("\n"));
    let own = match trained.target_scalings.len() {
        0 => format!("outputs[i] = maps[{from}][i];"),
        _ => format!("outputs[i] = (maps[{from}][i] - NUMBERS[i][1]) / NUMBERS[i][0];"),
    };
    if !trained.target_scalings.is_empty() {
        text.push_str(&format!(
            "\n/* A number is (output - offset) / scale. */\n\
             static const float NUMBERS[{}][2] = {{\n",
            trained.target_scalings.len()
        ));
        for map in &trained.target_scalings {
            text.push_str(&format!("    {{{:?}f, {:?}f}},\n", map.scale, map.offset));
        }
        text.push_str("};\n");
    }
    text.push_str(&format!(
        "\nvoid {name}_predict(const float input[{upper}_INPUTS], float outputs[{upper}_OUTPUTS])\n{{\n    \
         for (int i = 0; i < {upper}_INPUTS; i++) {{\n        \
         const float *map = NORMALISATION[{map}];\n        \
         maps[0][i] = fmaf(input[i], map[0], map[1]);\n    }}\n\
         {calls}    \
         for (int i = 0; i < {upper}_OUTPUTS; i++)\n        {own}\n}}\n"
    ));
    Ok(text)
}

/// The layers in the order in which the library computes them: a max-pool that it takes before an
/// activation comes before it here, since a tanh may change places with its neighbour by a bit.
fn ordered(trained: &Trained) -> Vec<LayerParts<'_>> {
    let mut parts: Vec<_> = layers(trained).collect();
    for stage in trained.model.network.stages() {
        if let [activation, pool] = &mut parts[stage.layers]
            && let Layer::Tanh | Layer::Sigmoid | Layer::LeakyRelu(_) = activation.layer
            && let Layer::MaxPool2d(_) = pool.layer
        {
            activation.input = pool.output;
            activation.output = pool.output;
            std::mem::swap(activation, pool);
        }
    }
    parts
}

/// The function that a layer needs, and its call.
fn call(
    parts: &LayerParts<'_>,
    (weights, biases): (std::ops::Range<usize>, std::ops::Range<usize>),
) -> Result<(&'static str, String), String> {
    let (input, output) = (parts.input, parts.output);
    let numbers = |numbers: &[usize]| {
        let words: Vec<_> = numbers.iter().map(usize::to_string).collect();
        words.join(", ")
    };
    let places = format!("WEIGHTS + {}, WEIGHTS + {}", weights.start, biases.start);
    let maps = [input.channels, input.rows, input.columns];
    let convolution = |kernel: [usize; 2], stride: [usize; 2], padding: [usize; 2], depthwise| {
        let outputs = [output.channels, output.rows, output.columns];
        let all = [
            &maps[..],
            &outputs,
            &kernel,
            &stride,
            &padding,
            &[depthwise],
        ]
        .concat();
        let all = numbers(&all);
        let call = format!("convolution(FROM, {places}, TO, (const int[]){{{all}}});");
        (CONVOLUTION, call)
    };
    let pool = |function: &'static str, name: &str, size: [usize; 2], stride: [usize; 2]| {
        let all = [&maps[..], &[output.rows, output.columns], &size, &stride].concat();
        let call = format!("{name}(FROM, TO, (const int[]){{{}}});", numbers(&all));
        (function, call)
    };
    Ok(match parts.layer {
        Layer::Conv2d(conv) => convolution(conv.kernel, conv.stride, conv.padding, 0),
        Layer::DepthwiseConv2d(conv) => convolution(conv.kernel, conv.stride, conv.padding, 1),
        Layer::MaxPool2d(pool_of) => pool(MAX_POOL, "max_pool", pool_of.size, pool_of.stride),
        Layer::AvgPool2d(pool_of) => {
            pool(AVERAGE_POOL, "average_pool", pool_of.size, pool_of.stride)
        }
        Layer::GlobalAvgPool2d => {
            let size = [input.rows, input.columns];
            pool(AVERAGE_POOL, "average_pool", size, size)
        }
        Layer::Linear(_) => {
            let sizes = numbers(&[input.len(), output.len()]);
            (LINEAR, format!("linear(FROM, {places}, TO, {sizes});"))
        }
        Layer::Relu => (RELU, format!("relu(FROM, TO, {});", output.len())),
        Layer::LeakyRelu(slope) => (
            LEAKY_RELU,
            format!("leaky_relu(FROM, TO, {}, {slope:?}f);", output.len()),
        ),
        Layer::Tanh => (
            TANH,
            format!("hyperbolic_tangent(FROM, TO, {});", output.len()),
        ),
        Layer::Sigmoid => (SIGMOID, format!("sigmoid(FROM, TO, {});", output.len())),
        Layer::GroupNorm(norm) => {
            let groups = norm.groups.max(1);
            let sizes = [groups, input.channels / groups, input.rows * input.columns];
            let call = format!(
                "group_norm(FROM, {places}, TO, (const int[]){{{}}});",
                numbers(&sizes)
            );
            (GROUP_NORM, call)
        }
        layer => {
            return Err(format!(
                "layer {} ({}) is not written in C; --format rust or onnx has it",
                parts.index,
                layer.name()
            ));
        }
    })
}
