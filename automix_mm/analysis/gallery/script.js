'use strict';

(() => {
  const data = JSON.parse(document.getElementById('data').textContent);
  const [height, width] = data.size;
  const count = data.images.length;
  const steps = data.lams.length;
  // Okabe and Ito's vermilion and blue, told apart with any colour vision, around a grey middle.
  const RAMP = [[213, 94, 0], [222, 222, 222], [0, 114, 178]];
  const state = {
    a: 0,
    b: 1,
    step: Math.floor((steps - 1) / 2),
    judge: 0,
    mixers: data.mixers.map(() => true),
  };
  const cards = [];
  const byId = (id) => document.getElementById(id);

  function add(parent, tag, attributes = {}, text = null) {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    if (text !== null) element.textContent = text;
    parent.append(element);
    return element;
  }

  const short = (value) => String(Number(value.toFixed(3)));
  const name = (image) => data.images[image].name;
  const title = (mixer) => (mixer.note ? `${mixer.name}, ${mixer.note}` : mixer.name);

  // ------------------------------------------------------------------------------- pixels

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

  // Recipes are ordered by own image, partner (without the own one) and step.
  function recipeOf(own, partner, step) {
    const pair = own * (count - 1) + (partner > own ? partner - 1 : partner);
    return pair * steps + step;
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

  function paint(card, mixer, recipe) {
    const { mask, fromA, fromB } = KINDS[mixer.kind](mixer, recipe);
    const [a, b] = [state.a, state.b].map((image) => data.images[image].pixels.data);
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
    card.mix.getContext('2d').putImageData(mixed, 0, 0);
    card.mask.getContext('2d').putImageData(shown, 0, 0);
    return sum / mask.length;
  }

  // -------------------------------------------------------------------------------- cards

  function makeCard(mixer, number) {
    const item = add(byId('cards'), 'li', { class: 'card', 'data-mixer': number });
    const heading = add(item, 'h2', {}, mixer.name);
    if (mixer.note) add(heading, 'small', { title: mixer.note }, mixer.note);
    const pictures = add(item, 'div', { class: 'pictures' });
    const canvases = ['Mixed', 'Mask'].map((label) => {
      const figure = add(pictures, 'figure');
      const canvas = add(figure, 'canvas', { role: 'img', width, height });
      const caption = add(figure, 'figcaption');
      add(caption, 'span', {}, label);
      return { canvas, note: add(caption, 'span') };
    });
    const labels = add(item, 'div', { class: 'labels' });
    add(labels, 'h3', {}, 'Label weights');
    const bar = add(labels, 'div', { class: 'weights', 'aria-hidden': 'true' });
    const parts = { b: add(bar, 'span', { class: 'b' }), a: add(bar, 'span', { class: 'a' }) };
    const told = add(labels, 'div', { class: 'both' });
    const scores = add(item, 'div', { hidden: '' });
    add(scores, 'h3', {}, 'Class scores');
    return {
      item, parts, scores,
      mix: canvases[0].canvas,
      mask: canvases[1].canvas,
      mean: canvases[1].note,
      tellB: add(told, 'span'),
      tellA: add(told, 'span'),
      list: add(scores, 'ul', { class: 'scores' }),
    };
  }

  function showScore(list, tags, label, score, weight) {
    const row = add(list, 'li');
    const cell = add(row, 'span', { class: 'name', title: label });
    for (const tag of tags) add(cell, 'span', { class: `tag ${tag}` }, tag);
    add(cell, 'b', {}, label);
    const bar = add(row, 'span', { class: `bar ${tags.length === 1 ? tags[0] : ''}`, 'aria-hidden': 'true' });
    add(bar, 'i').style.width = `${score / 10}%`;
    if (weight !== null) add(bar, 'u').style.left = `${weight * 100}%`;
    add(row, 'span', { class: 'value' }, `${(score / 10).toFixed(1)} %`);
  }

  function showScores(card, mixer, recipe) {
    const network = data.networks[state.judge];
    if (!network) return;
    card.scores.hidden = false;
    card.list.replaceChildren();
    const row = mixer.scores[state.judge][recipe];
    const [own, partner] = [network.clean[state.a][0], network.clean[state.b][0]];
    const weight = mixer.weights[recipe];
    if (own === partner) {
      showScore(card.list, ['a', 'b'], network.classes[own], row[0], 1);
    } else {
      showScore(card.list, ['a'], network.classes[own], row[0], weight);
      showScore(card.list, ['b'], network.classes[partner], row[1], 1 - weight);
    }
    for (let i = 2; i < row.length; i += 2) {
      showScore(card.list, [], network.classes[row[i]], row[i + 1], null);
    }
  }

  function showCard(mixer, number) {
    const card = cards[number];
    card.item.hidden = !state.mixers[number];
    if (card.item.hidden) return;
    const recipe = recipeOf(state.a, state.b, state.step);
    const mean = paint(card, mixer, recipe);
    const weight = mixer.weights[recipe];
    const a = weight.toFixed(2);
    const b = (1 - Number(a)).toFixed(2); // both add up to 1 as shown
    const pair = `a, ${name(state.a)}, and b, ${name(state.b)}`;
    card.mix.setAttribute('aria-label', `${pair}, mixed by ${title(mixer)}. Labels: a ${a}, b ${b}.`);
    card.mask.setAttribute(
      'aria-label', `Mask of ${title(mixer)}: mean weight of a ${mean.toFixed(2)}.`,
    );
    card.mean.textContent = `mean ${mean.toFixed(2)}`;
    card.parts.a.style.width = `${weight * 100}%`;
    card.parts.b.style.width = `${(1 - weight) * 100}%`;
    card.tellB.textContent = `b ${b}`;
    card.tellA.textContent = `a ${a}`;
    showScores(card, mixer, recipe);
  }

  // ----------------------------------------------------------------------------- controls

  function show() {
    const lam = short(data.lams[state.step]);
    const slider = byId('lam');
    slider.value = state.step;
    slider.setAttribute('aria-valuetext', `${lam} of a`);
    byId('lam-out').textContent = lam;
    for (const side of ['a', 'b']) {
      const image = data.images[state[side]];
      byId(`end-${side}`).src = image.src;
      byId(`end-${side}`).alt = `Image ${side}: ${image.name}`;
      byId(`pick-${side}`).querySelectorAll('input')[state[side]].checked = true;
      const network = data.networks[state.judge];
      const [seen, score] = network ? network.clean[state[side]] : [];
      const said = network ? `: ${network.classes[seen]}, ${(score / 10).toFixed(1)} %` : '';
      byId(`pick-${side}`).querySelector('.picked').textContent = image.name + said;
    }
    data.mixers.forEach(showCard);
    byId('none').hidden = state.mixers.some(Boolean);
    byId('status').textContent = `λ ${lam}: ${name(state.a)} and ${name(state.b)}`;
  }

  // Choosing for one side the image of the other side swaps them.
  function choose(side, image) {
    const other = side === 'a' ? 'b' : 'a';
    if (state[other] === image) state[other] = state[side];
    state[side] = image;
    show();
  }

  function makePicker(side) {
    const thumbs = byId(`pick-${side}`).querySelector('.thumbs');
    data.images.forEach((image, number) => {
      const label = add(thumbs, 'label', { title: image.name });
      const input = add(label, 'input', { type: 'radio', name: `image-${side}` });
      add(label, 'img', { src: image.src, alt: image.name });
      input.addEventListener('change', () => choose(side, number));
    });
  }

  function makeMixers() {
    data.mixers.forEach((mixer, number) => {
      const list = byId('mixers').querySelector('.chips');
      const label = add(list, 'label', { class: mixer.note ? 'noted' : '' });
      const input = add(label, 'input', { type: 'checkbox' });
      input.checked = true;
      const text = add(label, 'span', {}, mixer.name);
      if (mixer.note) add(text, 'small', {}, mixer.note);
      input.addEventListener('change', () => {
        state.mixers[number] = input.checked;
        show();
      });
      cards.push(makeCard(mixer, number));
    });
  }

  function makeJudges() {
    const select = byId('judge');
    data.networks.forEach((network, number) => {
      add(select, 'option', { value: number }, network.name);
    });
    byId('judging').hidden = byId('mark').hidden = byId('guessed').hidden = data.networks.length === 0;
    select.addEventListener('change', () => {
      state.judge = Number(select.value);
      show();
    });
  }

  function moveTo(step) {
    state.step = Math.min(Math.max(step, 0), steps - 1);
    show();
  }

  function makeSlider() {
    const slider = byId('lam');
    slider.max = steps - 1;
    slider.addEventListener('input', () => moveTo(Number(slider.value)));
    const ticks = slider.parentElement.querySelector('.ticks');
    for (const lam of data.lams) add(ticks, 'span', {}, short(lam));
    const told = data.lams.map(short).join(', ');
    byId('steps').textContent = `Computed for λ = ${told}: the slider stops there, and nothing in `
      + 'between is guessed. Boxes, noise and grids are the same for all λ.';
    document.addEventListener('keydown', (event) => {
      const move = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
      const free = document.activeElement === document.body || !document.activeElement;
      if (!move || !free || event.ctrlKey || event.altKey || event.metaKey) return;
      event.preventDefault();
      moveTo(state.step + move);
    });
  }

  function makeTheme() {
    const button = byId('theme');
    const system = window.matchMedia('(prefers-color-scheme: dark)');
    const root = document.documentElement;
    const isDark = () => (root.dataset.theme ? root.dataset.theme === 'dark' : system.matches);
    const tell = () => {
      button.textContent = isDark() ? 'Light colours' : 'Dark colours';
    };
    button.addEventListener('click', () => {
      root.dataset.theme = isDark() ? 'light' : 'dark';
      tell();
    });
    system.addEventListener('change', tell);
    tell();
  }

  async function start() {
    makeTheme();
    document.body.classList.toggle('pixels', width <= 64);
    ['a', 'b'].forEach(makePicker);
    makeMixers();
    makeJudges();
    makeSlider();
    byId('swap').addEventListener('click', () => choose('a', state.b));
    const parts = data.images.map((image) => [image, image.src]);
    const sheets = data.mixers.filter((m) => m.sheet).map((mixer) => [mixer, mixer.sheet]);
    await Promise.all([...parts, ...sheets].map(async ([owner, address]) => {
      owner.pixels = await pixelsOf(address);
    }));
    show();
    document.body.dataset.ready = '';
  }

  start().catch((error) => {
    byId('failure').hidden = false;
    byId('failure').textContent = `The page cannot show its pictures: ${error.message}`;
    throw error;
  });
})();
