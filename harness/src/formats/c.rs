//! A network as C99 without a library: weights for flash, the normalisation, and a function that
//! predicts one sample at a time with the order of sums that devices have here, so with the same
//! bits.

use secant::network::Layer;

use super::{LayerParts, layers, rows_of_floats};
use crate::trained::Trained;

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

/// Functions that a network may need.
const CONVOLUTION: &str = "\
static void convolution(const float *x, const float *w, const float *bias, float *y, const int n[13])
{
    /* inputs, rows, columns; outputs, rows, columns; kernel, strides, padding; depthwise */
    for (int o = 0; o < n[3]; o++)
        for (int r = 0; r < n[4]; r++)
            for (int c = 0; c < n[5]; c++) {
                const float *tap = w + o * (n[12] ? 1 : n[0]) * n[6] * n[7];
                float sum = bias[o];
                for (int i = n[12] ? o : 0; i < (n[12] ? o + 1 : n[0]); i++)
                    for (int u = 0; u < n[6]; u++)
                        for (int v = 0; v < n[7]; v++) {
                            int row = r * n[8] + u - n[10];
                            int column = c * n[9] + v - n[11];
                            int inside = row >= 0 && row < n[1] && column >= 0 && column < n[2];
                            float value = inside ? x[(i * n[1] + row) * n[2] + column] : 0.0f;
                            sum = fmaf(value, *tap++, sum);
                        }
                *y++ = sum;
            }
}
";

const LINEAR: &str = "\
static void linear(const float *x, const float *w, const float *bias, float *y, int inputs, int outputs)
{
    for (int o = 0; o < outputs; o++) {
        float sum = bias[o];
        for (int i = 0; i < inputs; i++)
            sum = fmaf(x[i], *w++, sum);
        y[o] = sum;
    }
}
";

const MAX_POOL: &str = "\
static void max_pool(const float *x, float *y, const int n[9])
{
    /* channels, rows, columns; rows, columns; window, strides */
    for (int c = 0; c < n[0]; c++)
        for (int r = 0; r < n[3]; r++)
            for (int q = 0; q < n[4]; q++) {
                const float *from = x + (c * n[1] + r * n[7]) * n[2] + q * n[8];
                float best = *from;
                for (int u = 0; u < n[5]; u++)
                    for (int v = 0; v < n[6]; v++) {
                        float value = from[u * n[2] + v];
                        if (value > best || value != value)
                            best = value;
                    }
                *y++ = best;
            }
}
";

const AVERAGE_POOL: &str = "\
static void average_pool(const float *x, float *y, const int n[9])
{
    /* channels, rows, columns; rows, columns; window, strides */
    for (int c = 0; c < n[0]; c++)
        for (int r = 0; r < n[3]; r++)
            for (int q = 0; q < n[4]; q++) {
                const float *from = x + (c * n[1] + r * n[7]) * n[2] + q * n[8];
                float sum = *from;
                for (int u = 0; u < n[5]; u++)
                    for (int v = 0; v < n[6]; v++)
                        if (u + v > 0)
                            sum += from[u * n[2] + v];
                *y++ = sum / (float)(n[5] * n[6]);
            }
}
";

const LEAKY_RELU: &str = "\
static void leaky_relu(const float *x, float *y, int count, float slope)
{
    for (int i = 0; i < count; i++)
        y[i] = x[i] < 0.0f ? slope * x[i] : x[i];
}
";

const RELU: &str = "\
static void relu(const float *x, float *y, int count)
{
    for (int i = 0; i < count; i++)
        y[i] = x[i] < 0.0f ? 0.0f : x[i];
}
";

fn source(trained: &Trained, name: &str) -> Result<String, String> {
    let upper = name.to_uppercase();
    let (mut functions, mut calls) = (Vec::new(), String::new());
    let mut largest = trained.task.input.len();
    // Maps go from one of two buffers to the other.
    let (mut from, mut to) = (0, 1);
    for parts in layers(trained) {
        if let Layer::Dropout(_) = parts.layer {
            continue;
        }
        let (function, call) = call(&parts, trained.model.network.parameter_ranges(parts.index))?;
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
        "/* Written by 'secant export'; C99, wants fmaf of math.h. */\n\
         #include \"{name}.h\"\n\n#include <math.h>\n\n\
         /* Scale and offset of the elements, for each channel or for all. */\n\
         static const float NORMALISATION[{}][2] = {{\n{maps}}};\n\n\
         static const float WEIGHTS[{}] = {{\n{}}};\n\n\
         static float maps[2][{largest}];\n\n",
        trained.scalings.len(),
        trained.parameters.len(),
        rows_of_floats(&trained.parameters, "f"),
    );
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
        layer => {
            return Err(format!(
                "layer {} ({}) is not written in C; --format rust or onnx has it",
                parts.index,
                layer.name()
            ));
        }
    })
}
