// NocoBase's own client on an application: signs in, makes collections, and reads, writes, links and
// filters records. Prints what it did as JSON; ends with 1 at the first answer that is not as it
// should be.
//
//   node client.cjs BASE_URL APPLICATION ACCOUNT PASSWORD

const assert = require('node:assert/strict');
const { APIClient } = require('@nocobase/sdk');

const [base, application, account, password] = process.argv.slice(2);

/** A client of the application, which is named by a header or in the path. */
function client(by) {
  if (by === 'header') {
    return new APIClient({ baseURL: `${base}/api/`, headers: { 'X-App': application }, storageType: 'memory' });
  }
  return new APIClient({ baseURL: `${base}/api/__app/${application}/`, storageType: 'memory' });
}

/** The status and the first error of a request that must fail. */
async function refused(request) {
  try {
    await request;
  } catch (error) {
    const [first] = error.response.data.errors;
    return { status: error.response.status, ...first };
  }
  throw new Error('a request that must fail succeeded');
}

async function signIn(api) {
  const wrong = await refused(api.auth.signIn({ account, password: 'wrong' }, 'basic'));
  assert.equal(wrong.status, 401);
  assert.ok(wrong.message);
  const empty = await refused(api.resource('users').list());
  assert.equal(empty.status, 401);
  assert.equal(empty.code, 'EMPTY_TOKEN');
  const answer = await api.auth.signIn({ account, password }, 'basic');
  assert.equal(answer.data.data.user.id, 1);
  assert.equal(api.auth.token, answer.data.data.token);
  const { data } = await api.request({ url: 'auth:check' });
  assert.equal(data.data.email, account);
  const roles = await api.resource('roles').check();
  assert.equal(roles.data.data.role, 'root');
}

async function define(api) {
  const collections = api.resource('collections');
  await collections.create({ values: { name: 'tags', fields: [{ name: 'name', type: 'string' }] } });
  await collections.create({
    values: {
      name: 'comments',
      fields: [{ name: 'text', type: 'text' }],
    },
  });
  await collections.create({
    values: {
      name: 'posts',
      createdAt: true,
      createdBy: true,
      fields: [
        { name: 'title', type: 'string', interface: 'input' },
        { name: 'views', type: 'integer', interface: 'integer', defaultValue: 0 },
        { name: 'at', type: 'datetimeTz', interface: 'datetime' },
      ],
    },
  });
  const fields = api.resource('collections.fields', 'posts');
  const through = { through: 'posts_tags', foreignKey: 'postId', otherKey: 'tagId' };
  await fields.create({ values: { name: 'tags', type: 'belongsToMany', target: 'tags', ...through } });
  await fields.create({ values: { name: 'comments', type: 'hasMany', target: 'comments', foreignKey: 'postId' } });
  await fields.create({ values: { name: 'author', type: 'belongsTo', target: 'users', foreignKey: 'authorId' } });
  const { data } = await fields.list({ paginate: false });
  assert.ok(data.data.some((field) => field.name === 'tags' && field.type === 'belongsToMany'));
  const meta = await collections.listMeta();
  assert.ok(meta.data.data.some((collection) => collection.name === 'posts'));
  const taken = await refused(collections.create({ values: { name: 'posts' } }));
  assert.ok(taken.status >= 400 && taken.status < 500);
}

async function records(api) {
  const posts = api.resource('posts');
  const made = await posts.create({ values: { title: 'one', views: 1, author: 1, tags: [{ name: 'red' }] } });
  assert.equal(made.data.data.id, 1);
  assert.equal(made.data.data.createdById, 1);
  for (let views = 2; views <= 25; views += 1) {
    await posts.create({ values: { title: `post ${views}`, views } });
  }
  const one = await posts.get({ filterByTk: 1, appends: ['author', 'tags'], fields: ['id', 'title'] });
  assert.equal(one.data.data.author.username, 'nocobase');
  assert.equal(one.data.data.tags[0].name, 'red');
  assert.ok(!('views' in one.data.data));
  const nobody = await posts.get({ filterByTk: 999 });
  assert.equal(nobody.data.data, null);
  const changed = await posts.update({ filterByTk: 1, values: { title: 'uno' } });
  assert.equal(changed.data.data[0].title, 'uno');
  const many = await posts.update({ filter: { views: { $gte: 24 } }, values: { title: 'many' } });
  assert.equal(many.data.data.length, 2);
  const same = await posts.updateOrCreate({ filterKeys: ['title'], values: { title: 'uno', views: 11 } });
  assert.equal(same.data.data[0].views, 11);
  const found = await posts.firstOrCreate({ filterKeys: ['title'], values: { title: 'uno' } });
  assert.equal(found.data.data.id, 1);
}

async function lists(api) {
  const posts = api.resource('posts');
  const first = await posts.list();
  assert.deepEqual(first.data.meta, { count: 25, page: 1, pageSize: 20, totalPage: 2 });
  const second = await posts.list({ page: 2, pageSize: 10, sort: ['-views', 'id'], fields: ['id', 'views'] });
  assert.equal(second.data.data[0].views, 15);
  assert.equal(second.data.meta.totalPage, 3);
  const all = await posts.list({ paginate: false });
  assert.equal(all.data.data.length, 25);
  assert.equal(all.data.meta, undefined);
  const filters = [
    [{ title: 'uno' }, 1],
    [{ 'title.$includes': 'POST' }, 22],
    [{ $and: [{ views: { $gt: 2 } }, { views: { $lt: 5 } }] }, 2],
    [{ $or: [{ views: 3 }, { views: { $in: [4, 5] } }] }, 3],
    [{ tags: { name: 'red' } }, 1],
    [{ 'author.username': 'nocobase' }, 1],
    [{ 'author.id.$notExists': true }, 24],
    [{ createdAt: { $dateOn: { type: 'thisYear' } } }, 25],
    [{ at: { $empty: true } }, 25],
  ];
  for (const [filter, count] of filters) {
    const { data } = await posts.list({ filter });
    assert.equal(data.meta.count, count, JSON.stringify(filter));
  }
  const summed = await posts.query({ values: { measures: [{ field: ['views'], aggregation: 'sum', alias: 'sum' }] } });
  assert.equal(summed.data.data[0].sum, 335);
  return filters.length;
}

async function associations(api) {
  const tags = api.resource('posts.tags', 1);
  await api.resource('tags').create({ values: [{ name: 'green' }, { name: 'blue' }] });
  const names = async () => (await tags.list({ sort: ['id'] })).data.data.map((tag) => tag.name).join();
  await tags.add({ values: [2, 3] });
  assert.equal(await names(), 'red,green,blue');
  await tags.remove({ filterByTk: 2 });
  assert.equal(await names(), 'red,blue');
  await tags.toggle({ values: [2, 3] });
  assert.equal(await names(), 'red,green');
  await tags.set({ values: [3] });
  assert.equal(await names(), 'blue');
  await tags.create({ values: { name: 'pink' } });
  assert.equal(await names(), 'blue,pink');
  const comments = api.resource('posts.comments', 1);
  await comments.create({ values: { text: 'first' } });
  const updated = await comments.update({ filterByTk: 1, values: { text: 'changed' } });
  assert.equal(updated.data.data[0].text, 'changed');
  assert.equal((await comments.get({ filterByTk: 1 })).data.data.postId, 1);
  assert.equal((await comments.destroy({ filterByTk: 1 })).data.data, true);
  assert.equal((await comments.list()).data.meta.count, 0);
  const author = api.resource('posts.author', 2);
  assert.equal((await author.get()).data.data, null);
  await author.set({ filterByTk: 1 });
  assert.equal((await author.get()).data.data.id, 1);
  await author.remove();
  assert.equal((await author.get()).data.data, null);
}

async function errors(api) {
  const posts = api.resource('posts');
  const kinds = {
    filter: await refused(posts.list({ filter: { nosuch: 1 } })),
    operator: await refused(posts.list({ filter: { views: { $nosuch: 1 } } })),
    json: await refused(posts.list({ filter: 'not json' })),
    value: await refused(posts.create({ values: { views: 'many' } })),
    everything: await refused(posts.destroy({})),
    action: await refused(posts.nosuch()),
    resource: await refused(api.resource('nosuch').list()),
  };
  for (const [kind, error] of Object.entries(kinds)) {
    assert.ok(error.message, kind);
  }
  return Object.fromEntries(Object.entries(kinds).map(([kind, error]) => [kind, error.status]));
}

async function end(api) {
  const posts = api.resource('posts');
  assert.equal((await posts.destroy({ filterByTk: 1 })).data.data, 1);
  assert.equal((await posts.destroy({ filter: { views: { $gt: 0 } } })).data.data, 24);
  for (const name of ['posts', 'comments', 'tags']) {
    assert.equal((await api.resource('collections').destroy({ filterByTk: name })).data.data, 1);
  }
  const { token } = api.auth;
  await api.auth.signOut();
  api.auth.setToken(token);
  const blocked = await refused(api.resource('users').list());
  assert.equal(blocked.code, 'BLOCKED_TOKEN');
}

async function main() {
  const done = {};
  for (const by of ['header', 'path']) {
    const api = client(by);
    await signIn(api);
    await define(api);
    await records(api);
    const filters = await lists(api);
    await associations(api);
    const refusals = await errors(api);
    await end(api);
    done[by] = { filters, refusals };
  }
  console.log(JSON.stringify(done));
}

main().catch((error) => {
  const answer = error.response && `${error.config.method} ${error.config.url}: ${JSON.stringify(error.response.data)}`;
  console.error(answer || '', error.stack);
  process.exit(1);
});
