'use strict';

// Makes the pictures of recipes: mixed images and their masks.
function makePictures(data) {
  const [height, width] = data.size;
  // Okabe and Ito's vermilion and blue, told apart with any colour vision, around a grey middle.
  const RAMP = [[213, 94, 0], [222, 222, 222], [0, 114, 178]];

  async function pixelsOf(address) {
    const image = new Image();
    image.src = address;
    await image.decode();
    const canvas = document.createElement('canvas');
    canvas.width = image.naturalWidth;
    canvas.height = image.naturalHeight;
    const context = canvas.getContext('2d', { willReadFrequently: true });
    context.drawImage(image, 0, 0);
    return context.getImageData(0, 0, canvas.width, canvas.height);
  }

  // The small grey image that a recipe names, as numbers 0..255.
  function planeOf(mixer, recipe) {
    const [rows, columns] = mixer.plane;
    const number = mixer.index[recipe];
    const top = Math.floor(number / mixer.columns) * rows;
    const left = (number % mixer.columns) * columns;
    const plane = new Uint8Array(rows * columns);
    for (let y = 0; y < rows; y++) {
      for (let x = 0; x < columns; x++) {
        plane[y * columns + x] = mixer.pixels.data[4 * ((top + y) * mixer.pixels.width + left + x)];
      }
    }
    return plane;
  }

  // For each pixel of an axis: two positions of the plane and the share of the second one.
  function places(pixels, cells, smooth) {
    return Array.from({ length: pixels }, (_, i) => {
      if (!smooth) {
        const cell = Math.floor((i * cells) / pixels);
        return [cell, cell, 0];
      }
      const exact = Math.max(0, ((i + 0.5) * cells) / pixels - 0.5);
      const first = Math.min(Math.floor(exact), cells - 1);
      return [first, Math.min(first + 1, cells - 1), exact - first];
    });
  }

  function enlarged(mixer, plane) {
    const [rows, columns] = mixer.plane;
    const across = places(width, columns, mixer.smooth);
    const mask = new Float32Array(height * width);
    places(height, rows, mixer.smooth).forEach(([top, bottom, down], y) => {
      for (let x = 0; x < width; x++) {
        const [left, right, along] = across[x];
        const upper = plane[top * columns + left] * (1 - along)
          + plane[top * columns + right] * along;
        const lower = plane[bottom * columns + left] * (1 - along)
          + plane[bottom * columns + right] * along;
        mask[y * width + x] = (upper * (1 - down) + lower * down) / 255;
      }
    });
    return mask;
  }

  function boxMask([top, left, bottom, right]) {
    const mask = new Float32Array(height * width).fill(1);
    for (let y = top; y < bottom; y++) mask.fill(0, y * width + left, y * width + right);
    return mask;
  }

  // Each function returns the weight of a at each pixel, and where the pixels of a and b are from
  // if they have moved.
  const KINDS = {
    flat: (mixer, recipe) => ({
      mask: new Float32Array(height * width).fill(mixer.weights[recipe]),
    }),
    mask: (mixer, recipe) => ({ mask: enlarged(mixer, planeOf(mixer, recipe)) }),
    box: (mixer, recipe) => ({ mask: boxMask(mixer.boxes[recipe]) }),
    shrunk: (mixer, recipe) => {
      const [top, left, bottom, right] = mixer.boxes[recipe];
      const fromB = Int32Array.from({ length: height * width }, (_, i) => i);
      for (let y = top; y < bottom; y++) {
        const row = Math.floor(((y - top) * height) / (bottom - top));
        for (let x = left; x < right; x++) {
          const column = Math.floor(((x - left) * width) / (right - left));
          fromB[y * width + x] = row * width + column;
        }
      }
      return { mask: boxMask(mixer.boxes[recipe]), fromB };
    },
    blocks: (mixer, recipe) => {
      const plane = planeOf(mixer, recipe);
      const columns = mixer.plane[1];
      const total = plane.length / 3; // share of a, then the sources of a, then those of b
      const [tall, wide] = mixer.block;
      const mask = new Float32Array(height * width);
      const sources = [new Int32Array(height * width), new Int32Array(height * width)];
      for (let y = 0; y < height; y++) {
        for (let x = 0; x < width; x++) {
          const place = Math.floor(y / tall) * columns + Math.floor(x / wide);
          mask[y * width + x] = plane[place] / 255;
          sources.forEach((source, side) => {
            const block = plane[(side + 1) * total + place];
            const row = Math.floor(block / columns) * tall + (y % tall);
            const column = (block % columns) * wide + (x % wide);
            source[y * width + x] = Math.min(row, height - 1) * width + Math.min(column, width - 1);
          });
        }
      }
      return { mask, fromA: sources[0], fromB: sources[1] };
    },
  };

  // Draws on two canvases the mixed image and the mask; returns the mean weight of a.
  function paint(mixer, recipe, pair, onto) {
    const { mask, fromA, fromB } = KINDS[mixer.kind](mixer, recipe);
    const [a, b] = pair.map((image) => data.images[image].pixels.data);
    const mixed = new ImageData(width, height);
    const shown = new ImageData(width, height);
    let sum = 0;
    for (let i = 0; i < mask.length; i++) {
      const share = mask[i];
      sum += share;
      const [low, high] = share < 0.5 ? [RAMP[0], RAMP[1]] : [RAMP[1], RAMP[2]];
      const along = share < 0.5 ? 2 * share : 2 * share - 1;
      const [fromOwn, fromOther] = [fromA ? fromA[i] : i, fromB ? fromB[i] : i];
      for (let c = 0; c < 3; c++) {
        mixed.data[4 * i + c] = share * a[4 * fromOwn + c] + (1 - share) * b[4 * fromOther + c];
        shown.data[4 * i + c] = low[c] + along * (high[c] - low[c]);
      }
      mixed.data[4 * i + 3] = shown.data[4 * i + 3] = 255;
    }
    onto.mix.getContext('2d').putImageData(mixed, 0, 0);
    onto.mask.getContext('2d').putImageData(shown, 0, 0);
    return sum / mask.length;
  }

  // Decodes all images, and the sheets of small grey ones.
  function load() {
    const parts = data.images.map((image) => [image, image.src]);
    const sheets = data.mixers.filter((m) => m.sheet).map((mixer) => [mixer, mixer.sheet]);
    return Promise.all([...parts, ...sheets].map(async ([owner, address]) => {
      owner.pixels = await pixelsOf(address);
    }));
  }

  return { load, paint };
}
