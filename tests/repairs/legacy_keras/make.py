"""Write models with the Keras that is installed, 1.2.2 or 2.2.4; see README.md."""

from pathlib import Path

import keras
import numpy as np
from keras import layers as kl
from keras.models import Model, Sequential

LENGTH = 24
KERAS_1 = keras.__version__.startswith("1")
FOLDER = Path(__file__).parent / ("keras_1" if KERAS_1 else "keras_2")
draw = np.random.RandomState(0)


def one_hot(n=3):
    return np.eye(4, dtype="float32")[draw.randint(0, 4, (n, LENGTH))]


def all_layers(model):
    for layer in getattr(model, "flattened_layers", model.layers):
        yield layer
        inner = getattr(layer, "layer", layer)
        if inner is not layer:
            yield inner
        if isinstance(inner, (Model, Sequential)):
            yield from all_layers(inner)


def save(name, model, inputs, whole=False):
    model.set_weights([draw.uniform(-0.5, 0.5, w.shape).astype("float32") for w in model.get_weights()])
    for layer in all_layers(model):
        if isinstance(layer, kl.BatchNormalization):
            *weights, variance = layer.get_weights()
            layer.set_weights([*weights, np.abs(variance) + 0.3])
    inputs = inputs if isinstance(inputs, list) else [inputs]
    outputs = model.predict(inputs if len(inputs) > 1 else inputs[0])
    outputs = outputs if isinstance(outputs, list) else [outputs]
    arrays = {f"x{i}": array for i, array in enumerate(inputs)}
    arrays.update({f"y{i}": array for i, array in enumerate(outputs)})
    np.savez_compressed(FOLDER / f"{name}.npz", **arrays)
    if whole:
        model.compile("sgd", "mse")
        model.save(str(FOLDER / f"{name}.whole.h5"))
    else:
        (FOLDER / f"{name}.json").write_text(model.to_json())
        model.save_weights(str(FOLDER / f"{name}.h5"), overwrite=True)
    print(name, [array.shape for array in outputs], outputs[0].ravel()[:4])


def make_keras_1():
    x, state = one_hot(), draw.rand(3, 3).astype("float32")

    def network():
        return Sequential(
            [
                kl.Convolution1D(6, 5, input_shape=(LENGTH, 4), activation="relu", border_mode="same"),
                kl.MaxPooling1D(2),
                kl.Bidirectional(kl.LSTM(3, return_sequences=True)),
                kl.Flatten(),
                kl.Dense(5, activation="tanh", W_regularizer="l2"),
                kl.Dropout(0.3),
                kl.BatchNormalization(),
                kl.Dense(2, activation="sigmoid"),
            ]
        )

    save("whole", network(), x, whole=True)

    inputs = [kl.Input((LENGTH, 4), name="seq/forward"), kl.Input((LENGTH, 4), name="seq_rc")]
    cell_type = kl.Input((3,), name="meta")
    shared = [
        kl.Convolution1D(4, 6, subsample_length=2),
        kl.MaxPooling1D(pool_length=3, stride=2),
        kl.BatchNormalization(mode=0),
        kl.PReLU(),
        kl.LSTM(3, consume_less="gpu"),
    ]
    dense = kl.Dense(4, activation="relu")
    outputs = []
    for hidden, name in zip(inputs, ("o1", "o2"), strict=True):
        for layer in shared:
            hidden = layer(hidden)
        hidden = dense(kl.merge([hidden, cell_type], mode="concat"))
        outputs.append(kl.Dense(1, activation="sigmoid", name=name)(hidden))
    model = Model(input=[*inputs, cell_type], output=kl.merge(outputs, mode="ave"))
    save("shared_branches", model, [x, one_hot(), state])

    left = Sequential(
        [kl.Convolution1D(3, 4, input_shape=(LENGTH, 4), activation="relu"), kl.GlobalMaxPooling1D()]
    )
    right = Sequential([kl.GRU(4, input_shape=(LENGTH, 4))])
    model = Sequential([kl.Merge([left, right], mode="concat"), kl.Dense(3, activation="softmax")])
    save("merge_first", model, [x, one_hot()])

    model = Sequential(
        [
            kl.Convolution2D(5, 1, 7, input_shape=(4, 1, LENGTH), dim_ordering="th", activation="relu"),
            kl.BatchNormalization(axis=1),
            kl.MaxPooling2D((1, 3), dim_ordering="th"),
            kl.Convolution2D(4, 1, 3, dim_ordering="th", subsample=(1, 2)),
            kl.Flatten(),
            kl.Dense(2, activation="hard_sigmoid"),
        ]
    )
    save("channels_first", model, x.transpose(0, 2, 1)[:, :, np.newaxis])

    model = Sequential(
        [
            kl.Convolution2D(5, 7, 4, input_shape=(LENGTH, 4, 1), dim_ordering="tf", activation="relu"),
            kl.Reshape((18, 5)),
            kl.AveragePooling1D(3),
            kl.Permute((2, 1)),
            kl.TimeDistributed(kl.Dense(3)),
            kl.UpSampling1D(2),
            kl.ZeroPadding1D(2),
            kl.Cropping1D((1, 1)),
            kl.Flatten(),
            kl.ELU(0.5),
            kl.LeakyReLU(0.2),
            kl.ThresholdedReLU(0.1),
            kl.Dense(2),
        ]
    )
    save("shapes", model, x[..., np.newaxis])

    def inner():
        return Sequential(
            [
                kl.Convolution1D(4, 3, input_shape=(LENGTH, 4)),
                kl.BatchNormalization(),
                kl.GRU(3),
                kl.BatchNormalization(),
            ]
        )

    first, second, nested = kl.Input((LENGTH, 4)), kl.Input((LENGTH, 4)), inner()
    output = kl.Dense(2)(kl.merge([nested(first), nested(second)], mode="sum"))
    save("nested", Model([first, second], output), [x, one_hot()])
    save("nested_sequential", Sequential([inner(), kl.Dense(1, activation="sigmoid")]), x)

    model = Sequential(
        [
            kl.AtrousConvolution1D(4, 3, atrous_rate=2, input_shape=(LENGTH, 4), activation="softplus"),
            kl.Bidirectional(kl.GRU(2, inner_activation="sigmoid"), merge_mode="sum"),
            kl.RepeatVector(3),
            kl.SimpleRNN(3, return_sequences=True),
            kl.TimeDistributedDense(2),
            kl.LSTM(2, go_backwards=True),
        ]
    )
    save("recurrent", model, x)

    codes = kl.Input((LENGTH,), dtype="int32")
    embedded = kl.Embedding(5, 3, input_length=LENGTH)(codes)
    outputs = [
        kl.Dense(1, name="a")(kl.Flatten()(embedded)),
        kl.Activation("softmax")(kl.GlobalAveragePooling1D()(embedded)),
    ]
    save("embedding", Model(codes, outputs), draw.randint(0, 5, (3, LENGTH)).astype("int32"))

    model = Sequential([kl.Lambda(lambda x: x * 2, input_shape=(5,)), kl.Dense(1)])
    save("python_code", model, draw.rand(3, 5).astype("float32"))


def make_keras_2():
    x, state = one_hot(), draw.rand(3, 3).astype("float32")
    inputs = [kl.Input((LENGTH, 4), name="seq"), kl.Input((LENGTH, 4), name="seq_rc")]
    cell_type = kl.Input((3,), name="meta")
    shared = [
        kl.Conv1D(4, 5, strides=2),
        kl.BatchNormalization(),
        kl.PReLU(shared_axes=[1]),
        kl.Bidirectional(kl.GRU(3, reset_after=False, activation="relu"), merge_mode="ave"),
    ]
    dense, heads = kl.Dense(4, activation="elu"), []
    for hidden in inputs:
        for layer in shared:
            hidden = layer(hidden)
        heads.append(dense(kl.concatenate([hidden, cell_type])))
    one = kl.Dense(1, activation="sigmoid", name="o1")(kl.add(heads))
    two = kl.Dense(1, name="o2")(kl.maximum(heads))
    outputs = [kl.average([one, two]), kl.Dense(2, name="o3")(kl.multiply(heads))]
    save("shared_branches", Model([*inputs, cell_type], outputs), [x, one_hot(), state], whole=True)

    model = Sequential(
        [
            kl.Conv1D(6, 5, input_shape=(LENGTH, 4), activation="relu", padding="same"),
            kl.MaxPooling1D(2),
            kl.Bidirectional(kl.LSTM(3, return_sequences=True)),
            kl.Flatten(),
            kl.Dense(5, activation="tanh", kernel_regularizer="l2"),
            kl.Dropout(0.3),
            kl.BatchNormalization(),
            kl.Dense(2, activation="hard_sigmoid"),
        ]
    )
    save("sequential", model, x)

    model = Sequential(
        [
            kl.Conv2D(5, (4, 7), input_shape=(1, 4, LENGTH), data_format="channels_first", activation="relu"),
            kl.BatchNormalization(axis=1),
            kl.MaxPooling2D((1, 2), data_format="channels_first"),
            kl.Flatten(data_format="channels_first"),
            kl.Dense(2, activation="softmax"),
        ]
    )
    save("channels_first", model, x.transpose(0, 2, 1)[:, np.newaxis])

    def inner():
        return Sequential(
            [
                kl.Conv1D(4, 3, input_shape=(LENGTH, 4)),
                kl.BatchNormalization(),
                kl.Conv1D(3, 3, dilation_rate=2, trainable=False),
                kl.GRU(3, reset_after=True, recurrent_activation="sigmoid"),
                kl.BatchNormalization(),
            ]
        )

    innermost, first, second = kl.Input((LENGTH, 4)), kl.Input((LENGTH, 4)), kl.Input((LENGTH, 4))
    core = Model(innermost, inner()(innermost))
    output = kl.Dense(2)(kl.subtract([core(first), core(second)]))
    save("nested", Model([first, second], output), [x, one_hot()])

    each = Sequential([kl.Dense(3, input_shape=(3,)), kl.BatchNormalization(), kl.Dense(2)])
    model = Sequential(
        [
            kl.TimeDistributed(kl.Dense(3), input_shape=(LENGTH, 4)),
            kl.TimeDistributed(each),
            kl.LSTM(3, go_backwards=True),
            kl.Reshape((3, 1)),
            kl.SimpleRNN(2),
        ]
    )
    save("wrappers", model, x)

    model = Sequential(
        [
            kl.Permute((2, 1), input_shape=(LENGTH, 4)),
            kl.Permute((2, 1)),
            kl.UpSampling1D(2),
            kl.AveragePooling1D(3),
            kl.ZeroPadding1D((1, 2)),
            kl.Cropping1D((2, 1)),
            kl.Conv1D(3, 2, use_bias=False),
            kl.LeakyReLU(0.2),
            kl.ELU(0.7),
            kl.ThresholdedReLU(0.3),
            kl.ReLU(max_value=2.0, negative_slope=0.1, threshold=0.2),
            kl.Softmax(axis=-1),
            kl.GlobalAveragePooling1D(),
            kl.RepeatVector(2),
            kl.Flatten(),
            kl.GaussianNoise(0.1),
            kl.GaussianDropout(0.1),
            kl.AlphaDropout(0.1),
            kl.ActivityRegularization(l1=0.1),
            kl.Dense(1, activation="selu"),
        ]
    )
    save("shapes", model, x)


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    make_keras_1() if KERAS_1 else make_keras_2()
