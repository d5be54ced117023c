'use strict';

const byId = (id) => document.getElementById(id);

function add(parent, tag, attributes = {}, text = null) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  if (text !== null) element.textContent = text;
  parent.append(element);
  return element;
}

// Makes a card for each mixer: its pictures, label weights and class scores. Returns what shows a
// state on them: the numbers of images a and b, of the step of lam and of the network, and
// which mixers are chosen.
function makeCards(data, paint) {
  const [height, width] = data.size;
  const title = (mixer) => (mixer.note ? `${mixer.name}, ${mixer.note}` : mixer.name);

  // Recipes are ordered by own image, partner (without the own one) and step.
  function recipeOf(own, partner, step) {
    const pair = own * (data.images.length - 1) + (partner > own ? partner - 1 : partner);
    return pair * data.lams.length + step;
  }

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

  function showScores(card, mixer, recipe, state) {
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

  function showCard(card, mixer, state) {
    const recipe = recipeOf(state.a, state.b, state.step);
    const mean = paint(mixer, recipe, [state.a, state.b], card);
    const weight = mixer.weights[recipe];
    const a = weight.toFixed(2);
    const b = (1 - Number(a)).toFixed(2); // both add up to 1 as shown
    const [own, partner] = [state.a, state.b].map((image) => data.images[image].name);
    const pair = `a, ${own}, and b, ${partner}`;
    card.mix.setAttribute('aria-label', `${pair}, mixed by ${title(mixer)}. Labels: a ${a}, b ${b}.`);
    card.mask.setAttribute(
      'aria-label', `Mask of ${title(mixer)}: mean weight of a ${mean.toFixed(2)}.`,
    );
    card.mean.textContent = `mean ${mean.toFixed(2)}`;
    card.parts.a.style.width = `${weight * 100}%`;
    card.parts.b.style.width = `${(1 - weight) * 100}%`;
    card.tellB.textContent = `b ${b}`;
    card.tellA.textContent = `a ${a}`;
    showScores(card, mixer, recipe, state);
  }

  const cards = data.mixers.map(makeCard);
  return (state) => cards.forEach((card, number) => {
    card.item.hidden = !state.mixers[number];
    if (!card.item.hidden) showCard(card, data.mixers[number], state);
  });
}
