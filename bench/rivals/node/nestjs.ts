// NestJS behind a guard, with Redis: the guard checks the signature and keeps the
// nonces; a lock with a time to live keeps a second worker away, and its end is
// remembered for a day.
import 'reflect-metadata';
import { type CanActivate, ConflictException, Controller, type ExecutionContext, HttpCode, Inject, Injectable, Module, Param, Post, UseGuards } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import serverlessExpress from '@codegenie/serverless-express';
import { Redis } from 'ioredis';
import { genuine, provision } from './work.mjs';

const redis = new Redis(process.env.REDIS_URL as string, { lazyConnect: true });
const nonceSeconds = 600;
const doneSeconds = 86_400;
const lockMilliseconds = 1000 * Number(process.env.LOCK_SECONDS ?? 60);

@Injectable()
class SignatureGuard implements CanActivate {
  async canActivate(context: ExecutionContext): Promise<boolean> {
    const request = context.switchToHttp().getRequest();
    return (
      (await genuine(request.rawBody, request.headers)) &&
      (await redis.set(`nonce:${request.headers['x-sf-nonce']}`, '1', 'EX', nonceSeconds, 'NX')) === 'OK'
    );
  }
}

@Injectable()
class Fulfilment {
  async fulfil(id: string) {
    const key = `order:${id}`;
    if ((await redis.set(key, 'working', 'PX', lockMilliseconds, 'NX')) !== 'OK') {
      const before = await redis.get(key);
      if (before === null || before === 'working') throw new ConflictException();
      return JSON.parse(before);
    }
    try {
      const done = await provision(id);
      await redis.set(key, JSON.stringify(done), 'EX', doneSeconds);
      return done;
    } catch (error) {
      await redis.del(key);
      throw error;
    }
  }
}

@Controller('orders')
class Orders {
  constructor(@Inject(Fulfilment) private readonly fulfilment: Fulfilment) {}

  @Post(':id/fulfill')
  @HttpCode(202)
  @UseGuards(SignatureGuard)
  async fulfill(@Param('id') id: string) {
    return { success: true, ...(await this.fulfilment.fulfil(id)) };
  }
}

@Module({ controllers: [Orders], providers: [Fulfilment] })
class App {}

const app = await NestFactory.create(App, { rawBody: true, logger: ['error', 'warn'] });
await app.init();

export const handler = serverlessExpress({ app: app.getHttpAdapter().getInstance() });
