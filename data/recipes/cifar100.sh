#!/usr/bin/env bash
# Everything behind the set cifar100, from ImageNet checkpoints to logits; stopped at any moment, the same command goes on.
#
#     IMAGES=folder CHECKPOINTS=folder bash data/recipes/cifar100.sh
#
# IMAGES has cifar100-train.tar, cifar100-val.tar and cifar100-test.tar, one folder a class; CHECKPOINTS the networks of imagenet-like
# as NAME.safetensors. With a GPU: TRIALS=32 EPOCHS=16 SIZE=128 PRECISION=tf32 EACH=40, the paper's number of trials and of epochs.
set -euo pipefail
images=$(realpath "${IMAGES:?folder of the images}") checkpoints=$(realpath "${CHECKPOINTS:?folder of the checkpoints}")
recipes=$(realpath "$(dirname "$0")")
trials=${TRIALS:-12} epochs=${EPOCHS:-4} size=${SIZE:-64} precision=${PRECISION:-bfloat16} each=${EACH:-8} fit=${FIT:-200}
export DUO_RUNS=${DUO_RUNS:-$PWD/runs/cifar100}
mkdir -p "$DUO_RUNS"
sources=(train="$images/cifar100-train.tar" val="$images/cifar100-val.tar")

trained() { # name, architecture, interpolation, trials, arguments
    duo finetune --name "$1" --model "timm/$2" --checkpoint "$checkpoints/$1.safetensors" --arguments "$5" --trials "$4" \
        --transform "{\"input_size\": [3, $size, $size], \"resize\": [$size, $size], \"crop\": false, \"interpolation\": \"$3\",
            \"mean\": [0.5, 0.5, 0.5], \"std\": [0.5, 0.5, 0.5]}" \
        --epochs "$epochs" --precision "$precision" --images "${sources[@]}"
}
trained tf_efficientnet_lite0 tf_efficientnet_lite0 bicubic "$trials" '{}'
trained mobilenetv1_025 mobilenetv1_100 bilinear 2 '{"pad_type": "same", "channel_multiplier": 0.25}'
trained mobilenetv1_050 mobilenetv1_100 bilinear 2 '{"pad_type": "same", "channel_multiplier": 0.5}'
trained mobilenetv2_100 mobilenetv2_100 bilinear 2 '{"pad_type": "same"}'

for method in greedy uniform stock; do
    duo soup --run tf_efficientnet_lite0 --method "$method" --images "${sources[@]}"
done
duo soup --run tf_efficientnet_lite0 --method stock --of 1 4 --images "${sources[@]}" # the two best of the twelve

python "$recipes/part.py" "$images/cifar100-test.tar" --each "$each" --seed 0 --out "$DUO_RUNS/cifar100-part.tar"
logits() {
    duo logits --set cifar100 --title "CIFAR-100, fine-tuned" --images test="$DUO_RUNS/cifar100-part.tar" --fit "$fit" --seed 0 \
        --dtype float16 --batch-size 100 --licence "logits computed for this project; images not included" \
        --source "CIFAR-100 test images (Krizhevsky, 2009), $each of each class, lossless" "$@"
}
logits --models "$recipes/cifar100.yaml"
logits --models "$recipes/cifar100-shift.yaml" --corrupt test-noise=gaussian_noise:1
